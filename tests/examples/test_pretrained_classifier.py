"""The conversion of EfficientNet-Lite0: every weight under the name of the same layer in timm. Needs no download.

The names in the package's file are written out here; that timm's network takes them all is tested in `.ci/libraries`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from examples.pretrained_classifier.convert import convert, name_in_timm
from safetensors.torch import load_file
from transformers.utils import is_timm_available

from tckr.models.classifiers import build_classifier

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def package_names() -> list[str]:
    """Return the names of all weights in the package's file."""
    around = ["_conv_stem.weight", "_conv_head.weight", "_fc.weight", "_fc.bias"]
    norms = ["_bn0", "_bn1"]
    for block in range(16):
        layers = ["_depthwise_conv", "_project_conv"] + (["_expand_conv"] if block else [])
        around += [f"_blocks.{block}.{layer}.weight" for layer in layers]
        norms += [f"_blocks.{block}.{norm}" for norm in (["_bn0"] if block else []) + ["_bn1", "_bn2"]]
    return around + [f"{norm}.{name}" for norm in norms for name in NORM]


def test_every_weight_keeps_its_values_under_one_name(tmp_path: Path) -> None:
    weights = {name: torch.tensor([float(number)]) for number, name in enumerate(package_names())}
    torch.save(weights, tmp_path / "package.pth")
    convert(tmp_path / "package.pth", tmp_path / "lite0")
    converted = load_file(tmp_path / "lite0" / "model.safetensors")
    assert sorted(map(float, converted.values())) == list(range(len(weights)))
    for theirs, ours in {
        "_conv_stem.weight": "conv_stem.weight",
        "_bn0.running_mean": "bn1.running_mean",
        "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight",
        "_blocks.0._bn2.weight": "blocks.0.0.bn2.weight",
        "_blocks.1._expand_conv.weight": "blocks.1.0.conv_pw.weight",
        "_blocks.2._bn0.bias": "blocks.1.1.bn1.bias",
        "_blocks.7._project_conv.weight": "blocks.3.2.conv_pwl.weight",
        "_blocks.15._bn2.running_var": "blocks.6.0.bn3.running_var",
        "_bn1.weight": "bn2.weight",
        "_fc.bias": "classifier.bias",
    }.items():
        assert torch.equal(converted[ours], weights[theirs]), theirs
    stated = json.loads((tmp_path / "lite0" / "config.json").read_text())["pretrained_cfg"]
    assert stated["mean"][0] * 255 == pytest.approx(127)
    assert stated["std"][0] * 255 == pytest.approx(128)


@pytest.mark.skipif(not is_timm_available(), reason=".ci/libraries has timm")
@pytest.mark.filterwarnings("ignore")
def test_timms_network_takes_all_of_them(tmp_path: Path) -> None:
    import timm

    shapes = {name: tensor.shape for name, tensor in timm.create_model("tf_efficientnet_lite0").state_dict().items()}
    assert {name_in_timm(name) for name in package_names()} == set(shapes)
    weights = {name: torch.rand(shapes[name_in_timm(name)]) for name in package_names()}
    torch.save(weights, tmp_path / "package.pth")
    convert(tmp_path / "package.pth", tmp_path / "lite0")
    model = build_classifier(str(tmp_path / "lite0"), 3, ["a", "b", "c"], seed=1, image_size=32)
    loaded = model.network.timm_model.state_dict()
    for name, tensor in weights.items():
        if not name.startswith("_fc.") and not name.endswith("tracked"):  # of a thousand classes; of steps that were none
            torch.testing.assert_close(loaded[name_in_timm(name)].float(), tensor, msg=name)
