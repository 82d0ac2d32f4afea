"""What a classifier expects of its input, read from and written to the image-processor config of its checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig
from transformers.image_processing_base import ImageProcessingMixin

from tckr.errors import UserError

CONFIG_NAME = "preprocessor_config.json"


@dataclass(frozen=True)
class ClassifierSpec:
    """The input of a network.

    Attributes:
        mean: per colour, subtracted from values in [0, 1].
        std: per colour, divides after that.
        input_size: height and width in px. The whole image is scaled to it; nothing is cropped away.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: tuple[int, int]


def read_spec(name: str, config: PreTrainedConfig, revision: str | None = None) -> ClassifierSpec:
    """Return the specification of checkpoint `name` (a hub id, at `revision`, or a folder).

    Raises:
        UserError: the checkpoint does not say how its images are normalised.
    """
    timm = getattr(config, "pretrained_cfg", None)  # timm checkpoints keep it in config.json
    if timm:
        return ClassifierSpec(_triple(timm["mean"]), _triple(timm["std"]), tuple(timm["input_size"][-2:]))
    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name, revision=revision)
    except OSError as error:
        raise UserError(
            f"model '{name}' has no {CONFIG_NAME}, which says how its images are scaled and normalised. "
            "Choose a checkpoint that has one, add the file to its folder, or train from nothing with pretrained=false and "
            "an image_size."
        ) from error
    return spec_from_settings(name, settings)


def spec_from_settings(name: str, settings: dict[str, Any]) -> ClassifierSpec:
    """Return the specification that image-processor `settings` state; raise UserError when they give no size."""
    size = settings.get("crop_size") if settings.get("do_center_crop") else None
    size = size or settings.get("size")
    if isinstance(size, dict) and "shortest_edge" in size:
        size = size["shortest_edge"]
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        height_width = (int(size["height"]), int(size["width"]))
    elif isinstance(size, int):
        height_width = (size, size)
    else:
        raise UserError(
            f"{CONFIG_NAME} of model '{name}' gives the size {size!r}; expected a number, `height` and `width`, or "
            "`shortest_edge`. Correct the file or choose another checkpoint."
        )
    if settings.get("do_normalize", True) is False:
        return ClassifierSpec((0.0,) * 3, (1.0,) * 3, height_width)
    mean, std = (settings.get(f"image_{part}") or (0.5,) * 3 for part in ("mean", "std"))  # 0.5: transformers' own default
    return ClassifierSpec(_triple(mean), _triple(std), height_width)


def write_spec(folder: Path, spec: ClassifierSpec) -> None:
    """Write preprocessor_config.json, such that transformers' AutoImageProcessor does what `Classifier` does."""
    height, width = spec.input_size
    settings = {
        "image_processor_type": "ViTImageProcessor",  # resize, rescale, normalise: the plainest of transformers' processors
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 2,  # bilinear
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
    }
    (folder / CONFIG_NAME).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = values if isinstance(values, list | tuple) else (values,) * 3
    return float(red), float(green), float(blue)
