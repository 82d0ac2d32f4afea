"""Loading: quietly, safetensors alone, and what is wrong in plain words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tckr.errors import UserError
from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import FAMILIES, load_generator
from tests.models.diffusion.drawing import draw
from tests.tiny_generators import IMAGE_SIZES


def test_loading_and_drawing_print_nothing(
    family: str, families: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    generator = load_generator(str(families[family]), "cpu")
    generator.add_lora(2, seed=0)
    generator.save_lora(tmp_path)
    loaded = load_generator(str(families[family]), "cpu")
    loaded.load_lora(tmp_path)
    loaded.encode_prompts(["x" * 600])
    draw(loaded, IMAGE_SIZES[family])
    assert "".join(capfd.readouterr()) == ""


def test_half_precision_draws_nearly_the_same(family: str, families: dict[str, Path], generator: LatentDiffusion) -> None:
    """The noise is drawn in float32 whatever the weights are in, so images are alike."""
    half = load_generator(str(families[family]), "cpu", torch.bfloat16)
    assert half.dtype == torch.bfloat16
    size = IMAGE_SIZES[family]
    exact, rounded = (draw(model, size, steps=2).astype(int) for model in (generator, half))
    assert abs(exact - rounded).mean() < 0.5 * exact.std()
    latents = half.encode_images(torch.rand(1, 3, size, size))[:, :4].float()
    told = {name: rows.clone() for name, rows in half.encode_prompts(["a"]).items()}
    loss = half.training_loss(latents, told, torch.randn_like(latents), torch.tensor([50]))
    assert loss.dtype == torch.float32


def test_autoencoder_of_sdxl_stays_in_float32_where_float16_overflows(families: dict[str, Path]) -> None:
    for name, expected in {"sdxl": torch.float32, "sd1": torch.float16}.items():
        assert load_generator(str(families[name]), "cpu", torch.float16).pipeline.vae.dtype == expected
    assert load_generator(str(families["sdxl"]), "cpu", torch.bfloat16).pipeline.vae.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["{tmp}/missing", "embedded:unknown", "not a valid name!"])
def test_missing_generator_is_a_user_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"could not be loaded|embedded:generator"):
        load_generator(name.format(tmp=tmp_path), "cpu")


def test_unreachable_hub_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"'nobody/nothing' could not be loaded.*hf download.*embedded:generator"):
        load_generator("nobody/nothing", "cpu")


def test_unsupported_family_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "KandinskyPipeline"}))
    with pytest.raises(UserError, match=r"a KandinskyPipeline.*expected one of " + ", ".join(FAMILIES)):
        load_generator(str(tmp_path), "cpu")
