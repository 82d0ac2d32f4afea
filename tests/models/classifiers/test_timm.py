"""timm's models: trained, stored and read by TCKR, transformers and timm alike. Needs the environment of `.ci/libraries`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.utils import is_timm_available

from tckr.errors import UserError
from tckr.models.classifiers import Classifier, build_classifier, load_classifier
from tckr.models.classifiers.preprocessing import CONFIG_NAME

pytestmark = [
    pytest.mark.skipif(not is_timm_available(), reason=".ci/libraries has timm"),
    pytest.mark.filterwarnings("ignore"),
]
NAMES = ["zebra", "ape", "mouse"]
MODEL = "test_resnet.r160_in1k"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Return a folder that timm's own `save_for_hf` wrote: random weights, 5 classes, its configuration says 160 px."""
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    model = timm.create_model(MODEL, pretrained=False, num_classes=5)
    save_for_hf(model, tmp_path / "published", safe_serialization=True)
    return tmp_path / "published"


def build(folder: Path, **settings: object) -> Classifier:
    return build_classifier(str(folder), 3, NAMES, seed=1, **settings).eval()  # type: ignore[arg-type]


def image(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [64, None, 96])
def test_one_size_is_read_by_tckr_transformers_and_timm(size: int | None, published: Path, tmp_path: Path) -> None:
    import timm
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = build(published, image_size=size)
    side = size or 160
    assert model.spec.input_size == (side, side)
    model.save(tmp_path / "stored")
    picture = image(side)
    with torch.inference_mode():
        expected = model(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255)
        loaded = load_classifier(tmp_path / "stored")
        assert loaded.spec.is_close(model.spec)
        answers = {"TCKR": loaded(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255)}
        pixels = AutoImageProcessor.from_pretrained(tmp_path / "stored")(picture, return_tensors="pt")
        theirs = AutoModelForImageClassification.from_pretrained(tmp_path / "stored").eval()
        answers["transformers"] = theirs(**pixels).logits
        own = timm.create_model(f"local-dir:{tmp_path / 'stored'}", pretrained=True).eval()
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(own), is_training=False)
        answers["timm"] = own(transform(picture)[None])
    for name, found in answers.items():
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4, msg=name)


def test_a_folder_that_timm_wrote_keeps_its_body(published: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(published / "model.safetensors")
    found = build(published).network.timm_model.state_dict()
    assert {name for name in weights if not torch.equal(weights[name], found[name])} <= {"fc.weight", "fc.bias"}


def test_a_stage_that_is_missing_is_refused(published: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(published / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("layer4")}
    save_file(kept, published / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="not the checkpoint that its configuration describes"):
        build(published)


@pytest.mark.parametrize("change", [{"architecture": "no_such_net"}, {"pretrained_cfg": {"tag": "x"}}, {"architecture": 7}])
def test_a_configuration_that_timm_cannot_use_is_refused(change: dict[str, object], published: Path) -> None:
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError):
        build(published)
    assert not (published / CONFIG_NAME).exists()
