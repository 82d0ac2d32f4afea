"""The gradient of a unit is the sum over its draws, whichever layer computes it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tckr.models.unit_hooks import UnitGradients

UNITS, DRAWS = 3, 4


class Twice(nn.Module):
    """A linear layer used twice, as attention uses one for several inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.tanh(self.layer(rows)))


LAYERS = {  # name -> how to build it, and the shape of its input
    "linear over features": (lambda: nn.Linear(6, 5), (6,)),
    "linear over positions": (lambda: nn.Linear(6, 5), (7, 6)),
    "linear used twice": (lambda: Twice(), (6,)),
    "convolution": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 5, 5)),
    "convolution without bias": (lambda: nn.Conv2d(4, 6, 1, bias=False), (4, 5, 5)),
    "convolution in groups": (lambda: nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (4, 5, 5)),
    "layer norm": (lambda: nn.LayerNorm(6), (7, 6)),
}


CASES = [(name, torch.contiguous_format) for name in LAYERS] + [("convolution", torch.channels_last)]


@pytest.mark.parametrize(("name", "order"), CASES)
def test_the_gradient_of_each_unit_is_that_of_a_batch_of_its_draws_alone(name: str, order: torch.memory_format) -> None:
    build, shape = LAYERS[name]
    layer = build()
    rows = torch.randn(UNITS * DRAWS, *shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=order)
    expected = [torch.autograd.grad(_loss(layer, unit), list(layer.parameters())) for unit in rows.split(DRAWS)]
    UnitGradients(layer.train(), DRAWS)
    _loss(layer, rows).backward()
    for parameter, *alone in zip(layer.parameters(), *expected, strict=True):
        found = parameter.grad_sample
        summed = found if len(found) == UNITS else found.unflatten(0, (UNITS, DRAWS)).sum(1)
        torch.testing.assert_close(summed, torch.stack(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["linear over positions", "convolution"])
def test_large_layers_store_one_row_for_each_unit(name: str) -> None:
    build, shape = LAYERS[name]
    layer = build()
    UnitGradients(layer.train(), DRAWS)
    _loss(layer, torch.randn(UNITS * DRAWS, *shape)).backward()
    assert {len(parameter.grad_sample) for parameter in layer.parameters()} == {UNITS}


def _loss(layer: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    return layer(rows).square().sin().sum()
