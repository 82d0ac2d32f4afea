"""Any image checkpoint gives features: its own summary where it has weights for one, else the mean of its last state."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from tckr.errors import UserError
from tckr.models.classifiers import build_classifier
from tckr.models.classifiers.preprocessing import ClassifierSpec, write_spec
from tckr.models.encoder import load_encoder

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
SPEC = ClassifierSpec((0.5,) * 3, (0.2,) * 3, (24, 24))
VIT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 3}
VIT |= {"image_size": 24, "patch_size": 8}


def saved(network: PreTrainedModel, folder: Path) -> str:
    network.save_pretrained(folder)
    write_spec(folder, SPEC)
    return str(folder)


def resnet() -> PreTrainedModel:
    return ResNetForImageClassification(ResNetConfig(embedding_size=4, hidden_sizes=[6], depths=[1], layer_type="basic"))


def clip() -> PreTrainedModel:
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 3, "vocab_size": 9}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=VIT, projection_dim=5))


@pytest.mark.parametrize(
    ("build", "width"),
    [
        (resnet, 6),
        (lambda: ViTModel(ViTConfig(**VIT)), 8),
        (lambda: ViTForImageClassification(ViTConfig(**VIT)), 8),
        (clip, 5),
    ],
    ids=["resnet classifier", "vit", "vit classifier", "clip"],
)
def test_features_depend_on_the_image_alone_not_on_batch_order_or_chance(build, width, tmp_path):
    name = saved(build(), tmp_path)
    whole = load_encoder(name, "cpu").features(IMAGES, batch_size=7)
    assert (whole.shape, whole.dtype) == ((7, width), np.float32)
    torch.manual_seed(99)  # weights that a checkpoint lacks would be random here
    some = load_encoder(name, "cpu").features(IMAGES, batch_size=2, rows=np.array([5, 0, 3]))
    assert some == pytest.approx(whole[[5, 0, 3]], abs=1e-5)
    assert np.ptp(whole, axis=0).max() > 0


def test_a_checkpoint_without_pooler_weights_is_averaged_over_positions(tmp_path):
    encoder = load_encoder(saved(ViTForImageClassification(ViTConfig(**VIT)), tmp_path), "cpu")
    assert not encoder.pools
    pixels = torch.full((1, 3, 24, 24), (128 / 255 - 0.5) / 0.2)
    expected = encoder.network(pixel_values=pixels).last_hidden_state.mean(dim=1)
    grey = np.full((1, 24, 24, 3), 128, dtype=np.uint8)
    assert encoder.features(grey, batch_size=1) == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_code_of_a_checkpoint_is_not_run_and_no_question_is_printed(tmp_path, monkeypatch):
    folder = Path(saved(resnet(), tmp_path))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('run')\n")
    monkeypatch.setattr("builtins.input", lambda question: pytest.fail("asked"))
    with pytest.raises(UserError, match="custom code"):
        load_encoder(str(folder), "cpu")
    with pytest.raises(UserError, match="custom code"):
        build_classifier(str(folder), 2, ["a", "b"], seed=0)


def test_what_is_no_image_checkpoint_in_safetensors_is_refused_with_the_reason(tmp_path):
    bert = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=3, vocab_size=9)
    with pytest.raises(UserError, match="BertModel takes no images"):
        load_encoder(saved(BertModel(bert), tmp_path / "bert"), "cpu")
    pickled = Path(saved(resnet(), tmp_path / "pickled"))
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"(?s)cannot be used to measure fidelity \(.*safetensors"):
        load_encoder(str(pickled), "cpu")
    with pytest.raises(UserError, match=r"audit\.fidelity_model"):
        load_encoder(str(tmp_path / "absent"), "cpu")
