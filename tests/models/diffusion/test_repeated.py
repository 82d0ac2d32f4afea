"""What depends on the text alone is computed once per batch, and nothing of that stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.repeated import computed_once, contiguous_inputs
from tests.models.diffusion.drawing import draw, grey_levels_apart
from tests.tiny_generators import IMAGE_SIZES
from tests.tiny_models import fresh_generator

TEXT_APART = ("sd1", "sd2", "sdxl", "sana")


def count(generator: LatentDiffusion, size: int, steps: int) -> int:
    """Return the floating-point operations of drawing three images."""
    with FlopCounterMode(display=False) as counter:
        draw(generator, size, steps=steps)
    return counter.get_total_flops()


def test_text_is_projected_once(family: str, generator: LatentDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    size = IMAGE_SIZES[family]
    images = draw(generator, size)
    found = {steps: count(generator, size, steps) for steps in (1, 2)}
    monkeypatch.setattr(generator.family, "drawing", nullcontext)
    assert grey_levels_apart(draw(generator, size), images) <= 1
    anew = {steps: count(generator, size, steps) for steps in (1, 2)}
    assert found[1] == anew[1]
    if family in TEXT_APART:
        assert found[2] < anew[2]
    else:
        assert found[2] == anew[2]


@pytest.mark.parametrize("family", ["sdxl"])
def test_linear_layers_get_pixels_in_their_own_order(
    family: str, generator: LatentDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[bool] = []
    for name, module in generator.denoiser.named_modules():
        if name.endswith("proj_in") and isinstance(module, torch.nn.Linear):
            monkeypatch.setattr(module, "forward", in_order(module.forward, orders))
    draw(generator, IMAGE_SIZES[family])
    assert orders
    assert all(orders)


def in_order(forward: Callable[[torch.Tensor], torch.Tensor], orders: list[bool]) -> Callable[[torch.Tensor], torch.Tensor]:
    def look(given: torch.Tensor) -> torch.Tensor:
        orders.append(given.is_contiguous())
        return forward(given)

    return look


def test_a_compiled_denoiser_is_left_as_it_is(families: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = fresh_generator(families["sd2"])
    monkeypatch.setattr(generator.denoiser, "compile", lambda **given: None)
    monkeypatch.setattr(generator.family, "drawing", None)
    with pytest.raises(TypeError, match="not callable"):
        draw(generator, IMAGE_SIZES["sd2"])
    generator.compile_denoiser()
    draw(generator, IMAGE_SIZES["sd2"])


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays(family: str, generator: LatentDiffusion, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    if fails:
        monkeypatch.setattr(generator.family, "schedule_arguments", lambda *given: {"no such argument": 0})
    with pytest.raises(TypeError) if fails else nullcontext():
        draw(generator, IMAGE_SIZES[family])
    for module in generator.denoiser.modules():
        assert "forward" not in vars(module)
        assert not module._forward_pre_hooks


def test_a_failure_within_leaves_nothing() -> None:
    layer = torch.nn.Linear(2, 2)
    with pytest.raises(KeyError), computed_once([layer]), contiguous_inputs([layer]):
        raise KeyError
    assert "forward" not in vars(layer)
    assert not layer._forward_pre_hooks


def test_a_layer_is_evaluated_again_for_other_numbers() -> None:
    layer = torch.nn.Linear(2, 2)
    numbers = torch.arange(12.0).reshape(6, 2)
    with computed_once([layer]):
        first = layer(numbers[:3])
        assert layer(numbers[:3]) is first  # another view of the same numbers
        for other in (numbers[3:], numbers[:2], numbers[:3].clone(), numbers[::2]):
            assert torch.equal(layer(other), torch.nn.functional.linear(other, layer.weight, layer.bias))
    assert layer(numbers[:3]) is not first


def test_inputs_come_in_their_own_order() -> None:
    layer = torch.nn.Identity()
    turned = torch.arange(6.0).reshape(2, 3).T
    with contiguous_inputs([layer]):
        assert layer(turned).is_contiguous()
        assert torch.equal(layer(turned), turned)
    assert layer(turned) is turned
