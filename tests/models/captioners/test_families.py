"""In every family, an image has the same caption in a batch and alone; what cannot be a captioner is explained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, BlipConfig, LlavaConfig

from tckr.errors import UserError
from tckr.models.captioners.captioner import Captioner
from tckr.models.captioners.load import default_dtype, load_captioner
from tests.tiny_captioners import BUILDERS, IMAGE_SIZE
from tests.tiny_models import quantise

CLASSES = {
    "blip": ("BlipCaptioner", "BlipForConditionalGeneration"),
    "florence": ("FlorenceCaptioner", "Florence2ForConditionalGeneration"),
    "llava": ("ChatCaptioner", "LlavaForConditionalGeneration"),
    "qwen": ("ChatCaptioner", "Qwen2VLForConditionalGeneration"),
    "idefics": ("ChatCaptioner", "Idefics3ForConditionalGeneration"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


def load_tiny(folder: Path) -> Any:
    return load_captioner(str(folder), "cpu")


@pytest.mark.parametrize("name", BUILDERS)
def test_family_is_chosen_and_reads_images_without_torchvision(folders: dict[str, Path], name: str) -> None:
    captioner = load_tiny(folders[name])
    assert (type(captioner).__name__, type(captioner.model).__name__) == CLASSES[name]
    assert type(captioner.processor.image_processor).__name__.endswith("Pil")


@pytest.mark.parametrize("name", BUILDERS)
def test_caption_does_not_depend_on_the_batch(folders: dict[str, Path], name: str, images: np.ndarray) -> None:
    captioner: Captioner = load_tiny(folders[name])
    together = captioner.caption(images, max_new_tokens=10)
    assert [captioner.caption(images[i : i + 1], max_new_tokens=10)[0] for i in range(4)] == together
    assert captioner.caption(images[::-1], max_new_tokens=10) == together[::-1]
    assert len(set(together)) > 1
    assert len({len(caption.split()) for caption in together}) > 1  # so some sequences of the batch were filled up
    assert not any("<" in caption for caption in together)


@pytest.mark.parametrize("name", ["llava", "qwen", "idefics"])
def test_chat_models_answer_the_question_alone(folders: dict[str, Path], name: str, images: np.ndarray) -> None:
    captioner = load_tiny(folders[name])
    asked = captioner.caption(images, 5, "Describe the small digit .")
    assert asked != captioner.caption(images, 5)
    assert all(len(answer.split()) <= 5 and not answer.startswith("Describe the small") for answer in asked)
    inputs = captioner.ask(images[:1], "Describe the small digit .")
    assert "Describe the small digit ." in captioner.processor.tokenizer.decode(inputs["input_ids"][0])


def test_chat_models_are_prompted_without_reasoning(folders: dict[str, Path], images: np.ndarray, tmp_path: Path) -> None:
    folder = shutil.copytree(folders["llava"], tmp_path / "thinking")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + "{% if enable_thinking is not defined or enable_thinking %} thin{% endif %}")
    assert load_tiny(folder).caption(images, 5) == load_tiny(folders["llava"]).caption(images, 5)


def test_settings_of_the_checkpoint_for_sampling_are_not_used(
    folders: dict[str, Path], images: np.ndarray, tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["florence"], tmp_path / "sampling")
    settings = json.loads((folder / "generation_config.json").read_text())
    settings |= {"do_sample": True, "temperature": 9.0, "top_k": 3, "num_beams": 3, "early_stopping": True, "max_length": 2}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    assert load_tiny(folder).caption(images, 6) == load_tiny(folders["florence"]).caption(images, 6)


def test_florence_takes_its_tasks_as_prompt(folders: dict[str, Path], images: np.ndarray) -> None:
    captioner = load_tiny(folders["florence"])
    assert captioner.caption(images, 5, "<CAPTION>") == captioner.caption(images, 5)
    assert len(captioner.caption(images, 5, "<MORE_DETAILED_CAPTION>")) == 4
    with pytest.raises(UserError, match=r"found caption.prompt 'a photo of'; Florence-2 has the tasks <CAPTION>"):
        captioner.caption(images, 5, "a photo of")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('text alone, please') }}", "text alone, please"),
        ("{% for message in messages %}{{ message['content'][1]['text'] }}{% endfor %}", "number of <image> tokens"),
    ],
)
def test_chat_template_without_images_is_refused_at_once(
    folders: dict[str, Path], tmp_path: Path, template: str, reason: str
) -> None:
    folder = shutil.copytree(folders["llava"], tmp_path / "text")
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=rf"cannot be queried about an image: .*{reason}.*caption.model"):
        load_tiny(folder)


def test_processor_without_chat_template_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["llava"], tmp_path / "mute", ignore=shutil.ignore_patterns("chat_template*"))
    with pytest.raises(UserError, match=r"'llava', has no chat template .*expected one of blip, blip-2, florence2, which"):
        load_tiny(folder)


def test_checkpoint_that_lacks_weights_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["blip"], tmp_path / "incomplete")
    weights = load_file(folder / "model.safetensors")
    save_file({name: weights[name] for name in sorted(weights)[3:]}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="of its weights 3 are missing"):
        load_tiny(folder)


LAYERS = {
    "blip": ("text_config", "num_hidden_layers"),
    "florence": ("text_config", "decoder_layers"),
    "llava": ("text_config", "num_hidden_layers"),
    "qwen": ("text_config", "num_hidden_layers"),
    "idefics": ("vision_config", "num_hidden_layers"),
}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize(("more", "found"), [(-1, "left over"), (1, "missing")])
def test_checkpoint_of_another_depth_is_refused_by_name(
    folders: dict[str, Path], tmp_path: Path, name: str, more: int, found: str
) -> None:
    folder = Path(shutil.copytree(folders[name], tmp_path / "deeper"))
    config = json.loads((folder / "config.json").read_text())
    part, layers = LAYERS[name]
    config[part][layers] += more
    config[part].pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=rf"not the checkpoint that its configuration describes: .*are {found} \(.*layers?\."
    ):
        load_tiny(folder)


def test_weights_that_are_no_numbers_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """Else every image would have an empty caption."""
    folder = shutil.copytree(folders["llava"], tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="of its weights 1 contain NaN or infinity"):
        load_tiny(folder)


def test_quantised_weights_without_their_scales_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["llava"], tmp_path / "quantised")
    weights = load_file(folder / "model.safetensors")
    quantise(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"of its weights .* contain only integers, as quantised weights do"):
        load_tiny(folder)


def test_missing_package_is_named(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)  # as where it is not installed
    folder = shutil.copytree(folders["idefics"], tmp_path / "smolvlm")
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "smolvlm"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"needs a package that is not installed.*pip install num2words"):
        load_tiny(folder)


def test_default_dtype(monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]) -> None:
    chat, known = AutoConfig.from_pretrained(folders["llava"]), AutoConfig.from_pretrained(folders["blip"])
    assert isinstance(chat, LlavaConfig)
    assert isinstance(known, BlipConfig)
    assert {default_dtype(config, "cpu") for config in (chat, known)} == {torch.float32}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert [default_dtype(config, "cuda:0") for config in (chat, known)] == [torch.bfloat16, torch.float16]
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert [default_dtype(config, "cuda") for config in (chat, known)] == [torch.float32, torch.float16]
    chat.dtype = torch.float16
    assert default_dtype(chat, "cuda") == torch.float16
