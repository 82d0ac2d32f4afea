"""Classifiers by name, saved and loaded with their class names and their input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    BertConfig,
    ConvNextConfig,
    ConvNextForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    pipeline,
)
from transformers.image_processing_base import ImageProcessingMixin
from transformers.utils import is_timm_available

from tckr.errors import UserError
from tckr.models.classifiers import EMBEDDED, build_classifier, class_columns, load_classifier, predict_logits
from tckr.models.classifiers.preprocessing import CONFIG_NAME, ClassifierSpec, read_spec, spec_from_settings

NAMES = ["zebra", "ape", "../<b>\n"]


def save_tiny_convnext(folder, settings):
    """Save a checkpoint of another task: five classes, 24 px, its own normalisation."""
    config = ConvNextConfig(hidden_sizes=[4, 8], depths=[1, 1], num_stages=2, num_labels=5, image_size=24)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ConvNextForImageClassification(config).save_pretrained(folder)
    if settings is not None:
        (folder / CONFIG_NAME).write_text(json.dumps(settings))
    return str(folder)


SETTINGS = {
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 24},
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.3],
}


def test_equal_seeds_give_equal_weights_and_leave_the_callers_generator_alone():
    before = torch.get_rng_state()
    one, other, third = (build_classifier("embedded:resnet", 3, NAMES, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    name = "network.classifier.1.weight"
    assert torch.equal(one.state_dict()[name], other.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], third.state_dict()[name])


def test_a_saved_classifier_comes_back_with_names_input_and_logits(tmp_path):
    model = build_classifier("embedded:resnet", 3, NAMES, seed=1).eval().to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 32, 32)
    expected = model(images)
    model.save(tmp_path)
    loaded = load_classifier(tmp_path)
    assert not loaded.training
    assert loaded.class_names == NAMES
    assert loaded.spec == model.spec
    assert torch.allclose(loaded(images), expected, atol=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "config.json", CONFIG_NAME}
    assert AutoModelForImageClassification.from_pretrained(tmp_path).config.id2label[1] == "ape"


def test_a_pretrained_checkpoint_keeps_its_body_and_input_and_gets_a_head_for_our_classes(tmp_path):
    name = save_tiny_convnext(tmp_path / "a", SETTINGS)
    model = build_classifier(name, 3, NAMES, seed=1)
    assert model.class_names == NAMES
    assert model.spec == ClassifierSpec((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), (24, 24))
    body = ConvNextForImageClassification.from_pretrained(name).convnext.state_dict()
    for key, tensor in model.network.convnext.state_dict().items():
        assert torch.equal(tensor, body[key]), key
    again = build_classifier(name, 3, NAMES, seed=1)
    assert torch.equal(model.network.classifier.weight, again.network.classifier.weight)
    assert model(torch.rand(2, 3, 40, 32)).shape == (2, 3)  # scaled to 24 px inside


def test_building_saving_and_loading_print_nothing(tmp_path, capfd):
    name = save_tiny_convnext(tmp_path / "a", SETTINGS)
    capfd.readouterr()
    build_classifier(name, 3, NAMES, seed=1).save(tmp_path / "b")
    load_classifier(tmp_path / "b")
    assert "".join(capfd.readouterr()) == ""


def test_normalisation_is_the_checkpoints(tmp_path):
    model = build_classifier(save_tiny_convnext(tmp_path / "a", SETTINGS), 3, NAMES, seed=1).eval()
    images = torch.rand(2, 3, 24, 24)
    mean, std = (torch.tensor(SETTINGS[f"image_{part}"]).view(3, 1, 1) for part in ("mean", "std"))
    assert torch.allclose(model(images), model.network(pixel_values=(images - mean) / std).logits, atol=1e-6)


def test_a_checkpoint_that_does_not_state_its_input_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"{CONFIG_NAME}.*Choose a checkpoint"):
        build_classifier(save_tiny_convnext(tmp_path / "a", None), 3, NAMES, seed=1)


def test_bad_names_are_refused_with_advice(tmp_path):
    with pytest.raises(UserError, match="Choose one of embedded:resnet"):
        build_classifier("embedded:resnett", 3, NAMES, seed=1)
    with pytest.raises(UserError, match=r"cannot be loaded.*Check the name"):
        build_classifier(str(tmp_path / "nowhere"), 3, NAMES, seed=1)
    BertConfig(num_hidden_layers=1).save_pretrained(tmp_path / "text")
    with pytest.raises(UserError, match="cannot be loaded as an image classifier"):
        build_classifier(str(tmp_path / "text"), 3, NAMES, seed=1)


def test_the_revision_reaches_weights_and_input(tmp_path, monkeypatch):
    asked = {}
    name = save_tiny_convnext(tmp_path / "a", SETTINGS)
    for owner, method in (
        (AutoModelForImageClassification, "from_pretrained"),
        (ImageProcessingMixin, "get_image_processor_dict"),
    ):
        original = getattr(owner, method)

        def ask(name, *, original=original, method=method, revision, **settings):
            asked[method] = revision
            return original(name, **settings)

        monkeypatch.setattr(owner, method, ask)
    build_classifier(name, 3, NAMES, seed=1, revision="abc")
    assert asked == {"from_pretrained": "abc", "get_image_processor_dict": "abc"}


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"size": {"height": 30, "width": 40}}, (30, 40)),
        ({"size": 48}, (48, 48)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}, (224, 224)),
    ],
)
def test_all_written_forms_of_a_size_are_understood(settings, size):
    assert spec_from_settings("m", settings).input_size == size


def test_a_checkpoint_without_a_size_is_refused_and_one_without_normalisation_is_not_normalised():
    with pytest.raises(UserError, match="gives the size None"):
        spec_from_settings("m", {})
    spec = spec_from_settings("m", {"size": 8, "do_normalize": False, "image_mean": [0.5] * 3})
    assert (spec.mean, spec.std) == ((0.0,) * 3, (1.0,) * 3)


def test_logits_are_put_into_another_class_order_by_name():
    columns = class_columns(["a", "b", "c"], ["c", "a", "b"])
    assert np.array([[10, 20, 30]])[:, columns].tolist() == [[30, 10, 20]]


def test_prediction_does_not_depend_on_batches_and_follows_rows():
    model = build_classifier("embedded:resnet", 3, NAMES, seed=1)
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    counted = []
    whole = predict_logits(model, images, batch_size=7)
    parts = predict_logits(model, images, batch_size=3, advance=counted.append)
    assert counted == [3, 3, 1]
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    np.testing.assert_allclose(predict_logits(model, images, batch_size=7, rows=np.array([4, 1])), whole[[4, 1]], atol=1e-5)


def test_every_built_in_classifier_is_saved_and_loaded_as_transformers_own_class(tmp_path):
    images = torch.rand(2, 3, 32, 32)
    for name in EMBEDDED:
        model = build_classifier(name, 3, NAMES, seed=1, image_size=32).eval()
        model.save(tmp_path / name)
        assert torch.allclose(load_classifier(tmp_path / name)(images), model(images), atol=1e-5)


def test_an_architecture_without_its_weights_follows_the_seed_alone(tmp_path):
    name = save_tiny_convnext(tmp_path / "a", SETTINGS)
    one, same, other = (build_classifier(name, 3, NAMES, seed=seed, pretrained=False) for seed in (1, 1, 2))
    trained = ConvNextForImageClassification.from_pretrained(name).convnext.state_dict()
    key = "encoder.stages.0.layers.0.dwconv.weight"
    found = [model.network.convnext.state_dict()[key] for model in (one, same, other)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert not torch.equal(found[0], trained[key])
    assert one.class_names == NAMES
    assert one.spec == ClassifierSpec((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), (24, 24))


def test_an_architecture_needs_no_weights_and_no_preprocessor_when_the_size_is_given(tmp_path):
    ConvNextConfig(hidden_sizes=[4, 8], depths=[1, 1], num_stages=2).save_pretrained(tmp_path)
    model = build_classifier(str(tmp_path), 3, NAMES, seed=1, pretrained=False, image_size=16)
    assert model.spec == ClassifierSpec((0.5,) * 3, (0.5,) * 3, (16, 16))
    with pytest.raises(UserError, match="cannot be loaded"):
        build_classifier(str(tmp_path), 3, NAMES, seed=1, image_size=16)
    with pytest.raises(UserError, match=f"{CONFIG_NAME}.*image_size"):
        build_classifier(str(tmp_path), 3, NAMES, seed=1, pretrained=False)


def test_a_given_size_replaces_the_checkpoints_and_travels_with_the_model(tmp_path):
    model = build_classifier(save_tiny_convnext(tmp_path / "a", SETTINGS), 3, NAMES, seed=1, image_size=16)
    assert model.training
    assert model.spec.input_size == (16, 16)
    model.save(tmp_path / "b")
    assert load_classifier(tmp_path / "b").spec == model.spec


def test_a_size_that_the_network_does_not_take_is_refused(tmp_path):
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=3, image_size=24, patch_size=8
    )
    ViTForImageClassification(config).save_pretrained(tmp_path)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(SETTINGS))
    with pytest.raises(UserError, match=r"does not take images of 32 px.*null"):
        build_classifier(str(tmp_path), 3, NAMES, seed=1, image_size=32)


TIMM = {
    "architecture": "resnet18",
    "num_classes": 1000,
    "pretrained_cfg": {"input_size": [3, 288, 288], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
}


def test_a_timm_checkpoint_says_its_input_in_its_configuration(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TIMM))
    config = AutoConfig.from_pretrained(tmp_path, num_labels=3)
    assert read_spec(str(tmp_path), config) == ClassifierSpec((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (288, 288))


@pytest.mark.skipif(is_timm_available(), reason="timm is installed")
@pytest.mark.parametrize("pretrained", [True, False])
def test_a_timm_checkpoint_without_timm_is_refused_with_the_command_that_helps(tmp_path, pretrained):
    (tmp_path / "config.json").write_text(json.dumps(TIMM))
    save_file({"head.weight": torch.zeros(1)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"timm library.*pip install"):
        build_classifier(str(tmp_path), 3, NAMES, seed=1, pretrained=pretrained)


def test_a_stored_classifier_answers_alike_in_the_pipeline_of_transformers(tmp_path):
    model = build_classifier("embedded:resnet", 3, NAMES, seed=1).eval()
    model.save(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    ours = torch.tensor(predict_logits(model, pixels, batch_size=3)).softmax(dim=1)
    classify = pipeline("image-classification", model=str(tmp_path), top_k=len(NAMES), device="cpu")
    for image, expected in zip(pixels, ours, strict=True):
        found = {answer["label"]: answer["score"] for answer in classify(Image.fromarray(image))}
        np.testing.assert_allclose([found[name] for name in NAMES], expected, atol=1e-5)
