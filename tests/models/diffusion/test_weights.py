"""All weights of a denoiser: trained in float32, written in float16, read into the type that is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tckr.errors import UserError
from tckr.models.diffusion import weights
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.lora import FILE_NAME
from tests.models.diffusion.drawing import disturb, draw, grey_levels_apart
from tests.tiny_generators import IMAGE_SIZES
from tests.tiny_models import ARRAY_WARNING, fresh_generator

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)


def test_the_trained_weights_are_sampled_from(
    family: str, generator: LatentDiffusion, families: dict[str, Path], tmp_path: Path
) -> None:
    size = IMAGE_SIZES[family]
    base = draw(generator, size)
    parameters = generator.unfreeze()
    assert set(parameters) == {name for name, _ in generator.denoiser.named_parameters()}
    assert {parameter.dtype for parameter in parameters.values()} == {torch.float32}
    assert not any(weight.requires_grad for weight in generator.pipeline.vae.parameters())
    for number, parameter in enumerate(parameters.values()):
        noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
        parameter.data += 0.3 * parameter.std() * noise if parameter.numel() > 1 else 0.1
        parameter.data = parameter.data.half().float()  # as they are stored
    trained = draw(generator, size)
    generator.save_weights(tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / weights.WEIGHTS_NAME).values()} == {torch.float16}
    loaded = fresh_generator(families[family])
    loaded.load_adapter(tmp_path)
    assert grey_levels_apart(draw(loaded, size), trained) <= 1
    assert grey_levels_apart(trained, base) > 5


def test_weights_of_another_denoiser_are_refused(families: dict[str, Path], tmp_path: Path) -> None:
    fresh_generator(families["sd1"]).save_weights(tmp_path)
    with pytest.raises(UserError, match=r"do not fit this generator.*adapt again"):
        fresh_generator(families["flux"]).load_adapter(tmp_path)
    (tmp_path / weights.WEIGHTS_NAME).write_bytes(b"half")
    with pytest.raises(UserError, match=r"do not fit this generator"):
        fresh_generator(families["sd1"]).load_adapter(tmp_path)


def test_weights_that_are_no_numbers_are_refused(families: dict[str, Path], tmp_path: Path) -> None:
    generator = fresh_generator(families["sd1"])
    generator.save_weights(tmp_path)
    tensors = load_file(tmp_path / weights.WEIGHTS_NAME)
    tensors[next(iter(tensors))].fill_(torch.inf)
    save_file(tensors, tmp_path / weights.WEIGHTS_NAME)
    with pytest.raises(UserError, match=r"not finite.*learning_rate"):
        generator.load_adapter(tmp_path)
    tensors[next(iter(tensors))] = tensors[next(iter(tensors))].to(torch.int8)
    save_file(tensors, tmp_path / weights.WEIGHTS_NAME)
    with pytest.raises(UserError, match=r"do not fit.*is stored in torch.int8, as quantised"):
        generator.load_adapter(tmp_path)


@pytest.mark.parametrize(
    ("limit", "value", "problem"),
    [
        ("MOST_PARAMETERS", 1000, r"billion; expected at most .* Set adapt\.method=lora"),
        ("BYTES_PER_PARAMETER", 10**12, r"but the device has .* Set adapt\.method=lora"),
    ],
)
def test_too_many_weights_are_refused(
    limit: str, value: int, problem: str, families: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = fresh_generator(families["sd1"])
    monkeypatch.setattr(weights, limit, value)
    with pytest.raises(UserError, match=problem):
        generator.unfreeze()


@pytest.mark.parametrize("targets", ["linear", "all"])
def test_lora_in_all_layers_of_a_kind_is_stored_and_merged(
    targets: str, family: str, families: dict[str, Path], tmp_path: Path
) -> None:
    size = IMAGE_SIZES[family]
    ours = fresh_generator(families[family])
    kinds = (torch.nn.Linear, torch.nn.Conv2d) if targets == "all" else (torch.nn.Linear,)
    layers = [layer for layer in ours.denoiser.modules() if isinstance(layer, kinds) and getattr(layer, "groups", 1) == 1]
    parameters = ours.add_lora(4, seed=0, targets=targets)  # type: ignore[arg-type]
    assert len(parameters) == 2 * len(layers)
    disturb(parameters, seed=0)
    expected = draw(ours, size)
    ours.save_lora(tmp_path)
    loaded = fresh_generator(families[family])
    base = draw(loaded, size)
    loaded.load_adapter(tmp_path)
    assert (tmp_path / FILE_NAME).exists()
    assert grey_levels_apart(draw(loaded, size), expected) <= 1
    assert not np.array_equal(base, expected)
