"""Captioners describe every image, whatever the batch, and a missing checkpoint is explained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tckr.errors import UserError
from tckr.models.captioners.blip import _after
from tckr.models.captioners.load import load_captioner
from tests.tiny_models import IMAGE_SIZE


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


def test_every_image_gets_words_without_special_tokens(tiny_captioner: Path, images: np.ndarray) -> None:
    captions = load_captioner(str(tiny_captioner), "cpu").caption(images, max_new_tokens=5)
    assert len(captions) == 3
    assert all(0 < len(caption.split()) <= 5 for caption in captions)
    assert not any("<" in caption for caption in captions)


def test_caption_does_not_depend_on_the_batch(tiny_captioner: Path, images: np.ndarray) -> None:
    captioner = load_captioner(str(tiny_captioner), "cpu")
    together = captioner.caption(images, max_new_tokens=5)
    assert [captioner.caption(images[i : i + 1], max_new_tokens=5)[0] for i in range(3)] == together


def test_prompt_is_continued_and_not_repeated(tiny_captioner: Path, images: np.ndarray) -> None:
    captioner = load_captioner(str(tiny_captioner), "cpu")
    prompted = captioner.caption(images, max_new_tokens=4, prompt="a small")
    assert not any(caption.startswith("a small") for caption in prompted)
    assert all(len(caption.split()) <= 4 for caption in prompted)
    assert prompted != captioner.caption(images, max_new_tokens=4)


def test_a_prompt_that_comes_back_in_lower_case_is_taken_off_too() -> None:
    """BLIP's tokenizer has no capital letters."""
    assert _after("A photo of ", "a photo of a red disc") == "a red disc"
    assert _after("a photo", "a disc") == "a disc"


def test_images_are_read_without_torchvision(tiny_captioner: Path) -> None:
    assert type(load_captioner(str(tiny_captioner), "cpu").processor.image_processor).__name__.endswith("Pil")


def test_dtype_is_float32_on_the_cpu_unless_given(tiny_captioner: Path, images: np.ndarray) -> None:
    assert load_captioner(str(tiny_captioner), "cpu").model.dtype == torch.float32
    half = load_captioner(str(tiny_captioner), "cpu", torch.bfloat16)
    assert half.model.dtype == torch.bfloat16
    assert len(half.caption(images, max_new_tokens=2)) == 3


def test_loading_prints_nothing(tiny_captioner: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_captioner(str(tiny_captioner), "cpu")
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("name", ["{tmp}/missing", "embedded:unknown", "not a valid name!"])
def test_missing_captioner_is_a_user_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"could not be loaded|embedded:captioner"):
        load_captioner(name.format(tmp=tmp_path), "cpu")


def test_unreachable_hub_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"'nobody/nothing' could not be loaded.*hf download.*embedded:captioner"):
        load_captioner("nobody/nothing", "cpu")


def test_unsupported_family_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(UserError, match="expected one of blip, blip-2"):
        load_captioner(str(tmp_path), "cpu")


def test_pickled_weights_are_refused(tiny_captioner: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_captioner, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        load_captioner(str(folder), "cpu")


def _copy_with(checkpoint: Path, folder: Path, change: Callable[[dict[str, torch.Tensor], str], None]) -> str:
    shutil.copytree(checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    change(weights, next(name for name in sorted(weights) if name.endswith("norm.weight")))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def test_a_weight_of_another_size_is_refused(tmp_path: Path, tiny_captioner: Path) -> None:
    def cut(weights: dict[str, torch.Tensor], name: str) -> None:
        weights[name] = weights[name][:-1].clone()

    with pytest.raises(UserError, match=r"of its weights 1 is of another size \(.*norm\.weight\)"):
        load_captioner(_copy_with(tiny_captioner, tmp_path / "cut", cut), "cpu")


@pytest.mark.parametrize("size", [0, 4, 1000])
def test_a_truncated_file_is_a_user_error(tmp_path: Path, tiny_captioner: Path, size: int) -> None:
    shutil.copytree(tiny_captioner, tmp_path / "truncated")
    file = tmp_path / "truncated" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UserError, match=r"could not be loaded.*Download or copy the folder again"):
        load_captioner(str(tmp_path / "truncated"), "cpu")


@pytest.mark.parametrize("changes", [{"hidden_size": "wide"}, {"hidden_size": 17}, {"num_hidden_layers": 3}])
def test_a_configuration_of_nonsense_is_refused_in_a_sentence(
    changes: dict[str, object], tiny_captioner: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_captioner, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"] |= changes
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"could not be loaded|are missing|are of another size"):
        load_captioner(str(folder), "cpu")
