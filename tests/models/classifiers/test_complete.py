"""A checkpoint is the one that its configuration describes, or it is refused; its input is read as transformers reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    BitConfig,
    BitForImageClassification,
    BitImageProcessorPil,
    ConvNextConfig,
    ConvNextModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTForMaskedImageModeling,
    ViTModel,
    pipeline,
)
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil

from tckr.errors import UserError
from tckr.models.classifiers import Classifier, build_classifier, load_classifier
from tckr.models.classifiers.head import head_of
from tckr.models.classifiers.preprocessing import CONFIG_NAME, spec_from_settings
from tckr.models.encoder import load_encoder
from tests.models.classifiers.test_build import NAMES, SETTINGS, save_tiny_convnext
from tests.tiny_models import quantise

VIT = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8, "image_size": 24}
VIT |= {"patch_size": 8}


def build(folder: Path | str) -> Classifier:
    return build_classifier(str(folder), 3, NAMES, seed=1)


def respell(folder: Path, change: dict[str, str], drop: str = "nothing") -> None:
    """Rename weights by `change` (pattern -> replacement) and leave out those with `drop` in their names."""
    tensors = load_file(folder / "model.safetensors")
    for pattern, new in change.items():
        tensors = {re.sub(pattern, new, name): tensor for name, tensor in tensors.items()}
    kept = {name: tensor for name, tensor in tensors.items() if drop not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def reconfigure(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    ("change", "drop", "found"),
    [
        ({r"^": "module."}, "nothing", "missing"),
        ({r"^": "_orig_mod."}, "nothing", "missing"),
        ({}, "stages.1.", "missing"),
        ({}, "layernorm.weight", "missing"),
        ({r"stages\.1\.layers\.0": "stages.1.layers.7"}, "nothing", "left over"),
    ],
)
def test_other_names_than_the_networks_are_refused(change: dict[str, str], drop: str, found: str, tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    respell(tmp_path, change, drop)
    with pytest.raises(UserError, match=f"not the checkpoint that its configuration describes.*{found}"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"depths": [1, 3]}, "missing"),
        ({"depths": [1, 0]}, "left over"),
        ({"hidden_sizes": [4, 16]}, "of another size"),
        ({"hidden_sizes": [4]}, "not the checkpoint|cannot be loaded"),
    ],
)
def test_another_depth_or_width_is_refused(changes: dict[str, object], found: str, tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    reconfigure(tmp_path, **changes)
    with pytest.raises(UserError, match=found):
        build(tmp_path)


def test_the_head_of_other_classes_another_task_or_none_gives_way(tmp_path: Path) -> None:
    for number, kind in enumerate((ViTModel, ViTForMaskedImageModeling, ViTForImageClassification)):
        folder = tmp_path / str(number)
        kind(ViTConfig(**VIT)).save_pretrained(folder)
        (folder / CONFIG_NAME).write_text(json.dumps(SETTINGS))
        model = build(folder).network
        body = load_file(folder / "model.safetensors")
        key = next(name for name in body if name.endswith("layernorm.weight"))
        assert torch.equal(model.vit.layernorm.weight, body[key])
    config = ConvNextConfig(hidden_sizes=[4, 8], depths=[1, 1], num_stages=2)
    ConvNextModel(config).save_pretrained(tmp_path / "bare")
    (tmp_path / "bare" / CONFIG_NAME).write_text(json.dumps(SETTINGS))
    assert build(tmp_path / "bare").class_names == NAMES
    assert head_of(config) == ("classifier.",)
    assert head_of(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])) == ("classifier.",)


def test_a_stored_classifier_must_be_complete_with_its_head(tmp_path: Path) -> None:
    build_classifier("embedded:resnet", 3, NAMES, seed=1).save(tmp_path)
    respell(tmp_path, {}, drop="classifier.1.bias")
    with pytest.raises(UserError, match=r"of its weights 1 is missing \(classifier.1.bias\).*run again"):
        load_classifier(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_classifier(tmp_path)


def test_an_encoder_of_another_depth_or_width_is_refused(tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    for changes, found in (({"hidden_sizes": [4, 16]}, "of another size"), ({"depths": [1, 0]}, "left over")):
        reconfigure(tmp_path, **({"hidden_sizes": [4, 8], "depths": [1, 1]} | changes))
        with pytest.raises(UserError, match=f"measure fidelity.*{found}"):
            load_encoder(str(tmp_path), "cpu")


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", b"", b"<html>", b"\xff" * 64, None]
)
def test_weights_that_are_no_weights_are_refused_in_a_sentence(content: bytes | None, tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content is None else content)
    with pytest.raises(UserError, match="cannot be loaded as an image classifier"):
        build(tmp_path)
    with pytest.raises(UserError, match="cannot be used to measure fidelity"):
        load_encoder(str(tmp_path), "cpu")


@pytest.mark.parametrize("changes", [{"hidden_sizes": [4, 40_000_000]}, {"hidden_sizes": "wide"}, {"depths": [-1, 1]}])
def test_a_configuration_of_nonsense_is_refused_before_memory_is_taken(changes: dict[str, object], tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    reconfigure(tmp_path, **changes)
    for pretrained in (True, False):
        with pytest.raises(UserError, match=r"cannot be loaded as an image classifier|not the checkpoint"):
            build_classifier(str(tmp_path), 3, NAMES, seed=1, pretrained=pretrained)


PROCESSORS = {
    "own rescale factor": ConvNextImageProcessorPil(size={"shortest_edge": 24}, crop_pct=1.0, rescale_factor=1 / 127.5),
    "no rescaling": ConvNextImageProcessorPil(
        size={"shortest_edge": 24},
        crop_pct=1.0,
        do_rescale=False,
        image_mean=[100.0, 90.0, 80.0],
        image_std=[50.0, 60.0, 70.0],
    ),
    "no normalisation": ConvNextImageProcessorPil(size={"shortest_edge": 24}, crop_pct=1.0, do_normalize=False),
    "neither": ConvNextImageProcessorPil(size={"shortest_edge": 24}, crop_pct=1.0, do_normalize=False, do_rescale=False),
    "include_top": EfficientNetImageProcessorPil(size={"height": 24, "width": 24}, include_top=True),
    "include_top left out": EfficientNetImageProcessorPil(size={"height": 24, "width": 24}),
    "rescale_offset": EfficientNetImageProcessorPil(
        size={"height": 24, "width": 24}, include_top=False, rescale_offset=True, rescale_factor=1 / 127.5
    ),
}


@pytest.mark.parametrize("kind", list(PROCESSORS))
def test_images_are_normalised_as_the_checkpoints_own_processor_does(kind: str) -> None:
    processor = PROCESSORS[kind]
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    expected = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
    settings = processor.to_dict()
    if kind == "include_top left out":
        settings.pop("include_top")
    spec = spec_from_settings("m", settings)
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (spec.mean, spec.std))
    np.testing.assert_allclose((pixels.transpose(2, 0, 1) / 255 - mean) / std, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"do_flip_channel_order": True}, "blue, green, red"),
        ({"image_std": [0.0, 1.0, 1.0]}, "cannot be used"),
        ({"image_mean": [float("nan")] * 3}, "cannot be used"),
        ({"image_mean": [0.5, 0.5]}, "cannot be used"),
        ({"image_mean": "grey"}, "cannot be used"),
        ({"rescale_factor": 0}, "cannot be used"),
        ({"size": True}, "gives the size"),
        ({"size": 0}, "gives the size|cannot be used"),
        ({"size": {"height": 10**9, "width": 10**9}}, "cannot be used"),
        ({"size": {"shortest_edge": "big"}}, "gives the size"),
    ],
)
def test_an_input_that_is_not_fed_here_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        spec_from_settings("m", SETTINGS | changes)


@pytest.mark.parametrize("content", [b"[1]", b"[" * 100_000, b"\xff\xfe{", b"7"])
def test_a_processor_file_that_is_none_is_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    (tmp_path / CONFIG_NAME).write_bytes(content)
    with pytest.raises(UserError, match=f"{CONFIG_NAME}.*Correct the file"):
        build(tmp_path)


@pytest.mark.parametrize("kind", ["MobileViTImageProcessor", "MobileViTFeatureExtractor", "MobileViTImageProcessorFast"])
def test_what_the_file_leaves_out_is_what_its_class_does(kind: str) -> None:
    """MobileViT takes blue, green, red and does not normalise; BiT has other means than ViT."""
    with pytest.raises(UserError, match="blue, green, red"):
        spec_from_settings("m", {"image_processor_type": kind, "size": 32})
    flipped = {"image_processor_type": kind, "size": 32, "do_flip_channel_order": False, "do_center_crop": False}
    spec = spec_from_settings("m", flipped)
    assert (spec.mean, spec.std) == ((0.0,) * 3, (1.0,) * 3)
    bit = spec_from_settings("m", {"image_processor_type": "BitImageProcessor", "size": 32, "do_center_crop": False})
    assert bit.mean == pytest.approx(BitImageProcessorPil().image_mean)


def test_a_file_without_a_class_is_read_by_the_class_of_its_model(tmp_path: Path) -> None:
    BitForImageClassification(BitConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], num_groups=2)).save_pretrained(
        tmp_path
    )
    (tmp_path / CONFIG_NAME).write_text(json.dumps({"size": 32, "do_center_crop": False}))
    assert build(tmp_path).spec.mean == pytest.approx(BitImageProcessorPil().image_mean)


@pytest.mark.parametrize("changes", [{"num_channels": 1}, {"num_channels": 4}, {"image_size": 16}])
def test_a_network_that_does_not_take_its_images_is_refused_before_it_trains(
    changes: dict[str, int], tmp_path: Path
) -> None:
    ViTForImageClassification(ViTConfig(**(VIT | changes))).save_pretrained(tmp_path)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(SETTINGS))
    with pytest.raises(UserError, match="does not take images of 24 px in colour"):
        build(tmp_path)


def test_settings_of_the_checkpoints_own_task_do_not_stay(tmp_path: Path) -> None:
    """Labels that do not exclude each other, of which the pipeline of transformers would say so for the Student too."""
    save_tiny_convnext(tmp_path / "a", SETTINGS)
    reconfigure(tmp_path / "a", problem_type="multi_label_classification", return_dict=False)
    model = build(tmp_path / "a").eval()
    model.save(tmp_path / "b")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    answers = pipeline("image-classification", model=str(tmp_path / "b"), top_k=3, device="cpu")(Image.fromarray(pixels))
    assert sum(answer["score"] for answer in answers) == pytest.approx(1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_where_they_are_read(value: float, tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["convnext.layernorm.bias"][0] = value
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"of its weights 1 contain NaN or infinity \(convnext.layernorm.bias\)"):
        build(tmp_path)
    with pytest.raises(UserError, match=r"measure fidelity.*NaN or infinity"):
        load_encoder(str(tmp_path), "cpu")


@pytest.mark.parametrize("kind", [torch.int8, torch.int32, torch.float16])
def test_quantised_weights_without_their_scales_are_refused(kind: torch.dtype, tmp_path: Path) -> None:
    """The libraries would load -127 to 127 as the values of the weights; float16 is how some tools store them again."""
    save_tiny_convnext(tmp_path, SETTINGS)
    tensors = load_file(tmp_path / "model.safetensors")
    quantise(tensors, kind)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    found = r"contain only integers, as quantised weights do \(.*convnext.*weight\)"
    with pytest.raises(UserError, match=rf"of its weights \d+ {found}"):
        build(tmp_path)
    with pytest.raises(UserError, match=r"measure fidelity.*only integers"):
        load_encoder(str(tmp_path), "cpu")


def test_masks_zeros_and_vectors_of_integers_are_not_quantised_weights(tmp_path: Path) -> None:
    save_tiny_convnext(tmp_path, SETTINGS)
    tensors = load_file(tmp_path / "model.safetensors")
    matrices = [name for name, tensor in tensors.items() if tensor.ndim > 1]
    tensors[matrices[0]].zero_()
    tensors[matrices[1]].fill_(1)[0] = 0
    tensors["convnext.layernorm.bias"].copy_(torch.arange(8))
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    assert build(tmp_path).class_names == NAMES


def test_the_size_of_a_timm_checkpoint_must_be_said_once(tmp_path: Path) -> None:
    from tckr.models.classifiers.preprocessing import read_spec
    from tests.models.classifiers.test_build import TIMM

    (tmp_path / "config.json").write_text(json.dumps(TIMM))
    config = AutoConfig.from_pretrained(tmp_path, num_labels=3)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(SETTINGS))
    with pytest.raises(UserError, match=r"two specifications of its input.*24.*288"):
        read_spec(str(tmp_path), config)
    for broken in ({}, {"input_size": 3, "mean": 0, "std": 1}, TIMM["pretrained_cfg"] | {"std": [0, 1, 1]}):
        config.pretrained_cfg = broken | {"tag": "x"}
        with pytest.raises(UserError, match=r"cannot be used|has no usable"):
            read_spec(str(tmp_path), config)


def test_resnets_counters_need_not_be_there(tmp_path: Path) -> None:
    ResNetForImageClassification(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])).save_pretrained(tmp_path)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(SETTINGS))
    respell(tmp_path, {}, drop="num_batches_tracked")
    assert build(tmp_path).class_names == NAMES
