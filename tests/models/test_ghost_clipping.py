"""Norms and clipped sums agree with the gradients of single samples, for every layer and shape."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tckr.errors import UserError
from tckr.models.ghost_clipping import is_supported, refuse_mixing, sum_of_clipped


class Twice(nn.Module):
    """Use a layer twice, on sequences, and change its output in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return self.layer(self.layer(samples.flatten(2)[:, :, :6]).relu_())


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "many positions": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "few positions": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Conv2d(4, 32, 2, stride=2)),
    "groups": lambda: nn.Conv2d(4, 8, (3, 2), stride=(2, 1), dilation=(1, 2), groups=2, bias=False),
    "each channel alone": lambda: nn.Conv2d(4, 4, 3, padding=(1, 2), groups=4),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, 5)),
    "sequence, twice": Twice,
    "in place": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6 * 36, 3)),
    "channels last": lambda: nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last),
}


def make(name: str) -> tuple[nn.Module, list[nn.Module], torch.Tensor]:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    samples = torch.randn(5, 4, 8, 8) * torch.tensor([0.01, 0.1, 0.5, 1.0, 3.0]).view(5, 1, 1, 1)
    return network, [layer for layer in network.modules() if is_supported(layer)], samples


def one_by_one(network: nn.Module, samples: torch.Tensor, clip: float) -> torch.Tensor:
    total = torch.tensor(0.0)
    for sample in samples:
        network.zero_grad()
        network(sample[None]).square().sum().backward()
        gradient = torch.cat([weights.grad.flatten() for weights in network.parameters()])
        total = total + gradient * min(1.0, clip / gradient.norm().item())
    return total


@pytest.mark.parametrize("name", NETWORKS)
def test_the_sum_is_that_of_single_samples_of_which_some_are_clipped(name: str) -> None:
    network, layers, samples = make(name)
    clip = 20.0
    expected = one_by_one(network, samples, clip)
    sums, losses = sum_of_clipped(
        layers, lambda rows: network(samples[rows]).square().flatten(1).sum(1), torch.arange(5), clip
    )
    torch.testing.assert_close(torch.cat([part.flatten() for part in sums]), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(losses, network(samples).square().flatten(1).sum(1).detach())


def test_a_sample_that_is_no_number_counts_as_zero() -> None:
    network, layers, samples = make("in place")
    losses_of = lambda rows: network(samples[rows]).square().sum(1)  # noqa: E731
    expected, _ = sum_of_clipped(layers, losses_of, torch.tensor([0, 2, 3, 4]), 1.0)
    samples[1] = torch.nan
    found, losses = sum_of_clipped(layers, losses_of, torch.arange(5), 1.0)
    torch.testing.assert_close(found, expected)
    assert losses.isnan().tolist() == [False, True, False, False, False]
    nothing, _ = sum_of_clipped(layers, losses_of, torch.tensor([1]), 1.0)
    assert all(not part.any() for part in nothing)


def test_layers_that_compute_something_else_are_not_supported() -> None:
    class Padded(nn.Conv2d):
        """As in timm: pads before it convolves."""

    others = [Padded(4, 4, 3), nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding_mode="circular", padding=1)]
    assert not any(is_supported(layer) for layer in [*others, nn.BatchNorm2d(4), nn.LayerNorm(4), nn.Embedding(4, 4)])


class Functional(nn.Module):
    """Use the weights of a layer without the layer, as some networks of timm do."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.hidden = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(self.called(samples.mean((1, 2))), self.hidden.weight)


def test_weights_that_are_used_without_their_layer_stay_and_the_norm_is_kept() -> None:
    network, samples = Functional(), torch.randn(5, 4, 8, 8)
    layers = [network.called, network.hidden]
    for row in range(5):
        sums, _ = sum_of_clipped(layers, lambda rows: 100 * network(samples[rows]).square().sum(1), torch.tensor([row]), 1.0)
        assert torch.cat([part.flatten() for part in sums]).norm().item() == pytest.approx(1.0, rel=1e-4)
        assert not sums[2].any()


def test_images_that_influence_one_another_are_refused() -> None:
    statistics = nn.Sequential(
        nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(144, 2)
    )
    windows = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten(0, 1), nn.Flatten(), nn.Linear(128, 2))
    samples = torch.randn(3, 4, 8, 8)
    for network, told in ((statistics, "influence one another"), (windows, r"in parts .*\(6 rows for 3 images;")):
        network.eval()
        layers = [layer for layer in network.modules() if is_supported(layer)]
        with pytest.raises(UserError, match=f"cannot be trained with noise .*: .*{told}.*; choose another teach.model"):
            refuse_mixing(
                layers, lambda rows, network=network: network(samples[rows]).square().sum(1)[: len(rows)], torch.arange(3)
            )  # type: ignore[misc]
    network, layers, samples = make("in place")
    refuse_mixing(layers, lambda rows: network(samples[rows]).square().sum(1), torch.arange(3))
