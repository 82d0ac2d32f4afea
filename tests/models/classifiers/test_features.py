"""Features are what the last layer turns into logits, for any classifier and batch size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers import ConvNextConfig, ConvNextForImageClassification, ViTConfig, ViTForImageClassification

from tckr.errors import UserError
from tckr.models.classifiers import Classifier, ClassifierSpec, build_classifier, predict_features, predict_logits

NAMES = ["zebra", "ape", "emu"]
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
SPEC = ClassifierSpec((0.5,) * 3, (0.2,) * 3, (24, 24))


def embedded() -> Classifier:
    return build_classifier("embedded:resnet", 3, NAMES, seed=1)


def vit() -> Classifier:
    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=3, num_labels=3)
    config.update({"image_size": 24, "patch_size": 8})
    return Classifier(ViTForImageClassification(config), SPEC)


def convnext() -> Classifier:
    config = ConvNextConfig(hidden_sizes=[4, 8], depths=[1, 1], num_stages=2, num_labels=3, image_size=24)
    return Classifier(ConvNextForImageClassification(config), SPEC)


@pytest.mark.parametrize(("build", "layer", "width"), [(embedded, "classifier.1", 128), (vit, "classifier", 8)])
def test_last_layer_turns_the_features_into_the_logits(build, layer, width):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
    features = predict_features(model, IMAGES, batch_size=3)
    assert (features.shape, features.dtype) == ((7, width), np.float32)
    head = model.network.get_submodule(layer)
    expected = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(predict_logits(model, IMAGES, batch_size=3), expected, atol=1e-5)
    assert not model.training


def test_features_are_the_same_bits_again_and_do_not_depend_on_the_batch_size():
    model = embedded().train()
    once, again, parts = (predict_features(model, IMAGES, batch_size=size) for size in (7, 7, 2))
    assert np.array_equal(once, again)
    np.testing.assert_allclose(parts, once, atol=1e-5)


def test_a_pass_that_runs_out_of_memory_after_the_last_layer_leaves_no_features():
    """Such as a later member of an ensemble, when the first one's last layer is behind it."""
    member = embedded()

    class Short(nn.Module):
        class_names, network, device = member.class_names, member.network, member.device

        def __init__(self):
            super().__init__()
            self.member = member

        def forward(self, images_BCHW):
            logits_BK = self.member(images_BCHW)
            if len(logits_BK) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return logits_BK

    with pytest.warns(RuntimeWarning, match="memory ran out"):
        features = predict_features(Short(), IMAGES, batch_size=7)
    np.testing.assert_allclose(features, predict_features(member, IMAGES, batch_size=7), atol=1e-5)


def test_nothing_is_left_hooked_into_the_classifier():
    model = embedded()
    predict_features(model, IMAGES, batch_size=4)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_network_without_a_linear_last_layer_is_refused():
    model = convnext()
    model.network.classifier = nn.Sequential(nn.Unflatten(1, (8, 1, 1)), nn.Conv2d(8, 3, 1), nn.Flatten())
    assert predict_logits(model, IMAGES, batch_size=7).shape == (7, 3)
    with pytest.raises(UserError, match="no linear layer with 3 outputs"):
        predict_features(model, IMAGES, batch_size=7)
