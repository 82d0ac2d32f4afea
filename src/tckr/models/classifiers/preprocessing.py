"""Input specification of a classifier, read from and written to the image-processor config of its checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import PreTrainedConfig
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

from tckr.errors import UserError

CONFIG_NAME = "preprocessor_config.json"
LARGEST_SIDE = 16384
"""px"""

READ = (
    "size",
    "do_center_crop",
    "crop_size",
    "do_flip_channel_order",
    "do_rescale",
    "rescale_factor",
    "rescale_offset",
    "do_normalize",
    "image_mean",
    "image_std",
    "include_top",
)
"""Settings of image processors that are used. TCKR scales the complete image to `size`, or to the crop size if given."""

Colours = tuple[float, float, float]


@dataclass(frozen=True)
class ClassifierSpec:
    """Size and normalisation of a network's input.

    Attributes:
        mean: per colour, subtracted from values in [0, 1].
        std: per colour, divides after that.
        input_size: height and width in px. The complete image is scaled to it, without cropping.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: tuple[int, int]

    def is_close(self, other: ClassifierSpec) -> bool:
        """Return whether both are equal up to the rounding of written numbers."""
        pairs = zip((*self.mean, *self.std), (*other.mean, *other.std), strict=True)
        return self.input_size == other.input_size and all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in pairs)


def read_spec(name: str, config: PreTrainedConfig, revision: str | None = None) -> ClassifierSpec:
    """Return the specification of checkpoint `name` (a hub id, at `revision`, or a folder).

    Raises:
        UserError: the checkpoint does not state how its images are normalised, gives two contradicting specifications, or
            requires an unsupported operation.
    """
    timm = getattr(config, "pretrained_cfg", None)  # timm checkpoints store it in config.json
    stated = _timm_spec(name, timm) if timm else None
    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name, revision=revision)
    except OSError as error:
        if stated:
            return stated
        raise UserError(
            f"model '{name}' has no {CONFIG_NAME}, which states how its images are scaled and normalised. "
            "Choose a checkpoint that has one, add the file to its folder, or train from random weights "
            "with pretrained=false and an image_size."
        ) from error
    except (ValueError, RecursionError) as error:
        raise _unusable(name, error) from error
    if not isinstance(settings, dict):
        raise _unusable(name, "it is not a JSON object")
    spec = spec_from_settings(name, settings, IMAGE_PROCESSOR_MAPPING_NAMES.get(config.model_type, {}).get("pil"))
    if stated and not spec.is_close(stated):
        raise UserError(
            f"model '{name}' gives two specifications of its input: {spec} in {CONFIG_NAME}, {stated} in config.json "
            "(pretrained_cfg). Correct the wrong one, or remove the file"
        )
    return spec


def spec_from_settings(name: str, settings: dict[str, Any], usual: str | None = None) -> ClassifierSpec:
    """Return the specification given by image-processor `settings`.

    Args:
        name: name of the checkpoint, for messages.
        settings: content of the file.
        usual: usual image-processor class of such models, for settings without one.

    Raises:
        UserError: they give no size or no usable numbers, or require an unsupported operation.
    """
    try:
        return _spec(name, _with_defaults(settings, usual))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise _unusable(name, error) from error


def _unusable(name: str, reason: object) -> UserError:
    return UserError(f"{CONFIG_NAME} of model '{name}' cannot be used: {reason}. Correct the file")


def _with_defaults(settings: dict[str, Any], usual: str | None) -> dict[str, Any]:
    """Return the settings completed by the defaults of their class of image processors."""
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or usual)
    kind = kind.removesuffix("Pil").removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    processor = getattr(transformers, f"{kind}Pil", None) if kind.endswith("ImageProcessor") else None
    defaults = {name: getattr(processor, name, None) for name in READ} if processor else {}
    return defaults | {name: value for name, value in settings.items() if value is not None}


def _spec(name: str, settings: dict[str, Any]) -> ClassifierSpec:
    if settings.get("do_flip_channel_order"):
        raise UserError(
            f"{CONFIG_NAME} of model '{name}' has do_flip_channel_order: its images are blue, green, red. Expected red, "
            "green, blue; choose another checkpoint, or train its architecture from random weights with pretrained=false"
        )
    mean, std = (0.0,) * 3, (1.0,) * 3
    if settings.get("do_normalize", True):
        given = (settings.get(f"image_{part}") or (0.5,) * 3 for part in ("mean", "std"))  # transformers' own default
        mean, std = (_triple(values) for values in given)
        if settings.get("include_top"):  # EfficientNet divides by the standard deviation once more
            std = _mapped(lambda s: s * s, std)
    return _checked(name, _of_unit_range(settings, mean, std, _size(name, settings)))


def _of_unit_range(settings: dict[str, Any], mean: Colours, std: Colours, size: tuple[int, int]) -> ClassifierSpec:
    """Return mean and std for values in [0, 1], converted from those for the checkpoint's own range of values."""
    factor, offset = 255.0, 0.0
    if settings.get("do_rescale", True):
        stated = settings.get("rescale_factor")
        factor *= 1 / 255 if stated is None else float(stated)
        offset = 1.0 if settings.get("rescale_offset") else 0.0  # EfficientNet: values in [-1, 1]
    if abs(factor - 1) < 1e-6 and not offset:  # numbers are used as written
        return ClassifierSpec(mean, std, size)
    return ClassifierSpec(_mapped(lambda m: (m + offset) / factor, mean), _mapped(lambda s: s / factor, std), size)


def _size(name: str, settings: dict[str, Any]) -> tuple[int, int]:
    size = settings.get("crop_size") if settings.get("do_center_crop") else None
    size = size or settings.get("size")
    if isinstance(size, dict) and "shortest_edge" in size:
        size = size["shortest_edge"]
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    if isinstance(size, int) and not isinstance(size, bool):
        return size, size
    raise UserError(
        f"{CONFIG_NAME} of model '{name}' gives the size {size!r}; expected a number, `height` and `width`, or "
        "`shortest_edge`. Correct the file or choose another checkpoint."
    )


def _timm_spec(name: str, settings: dict[str, Any]) -> ClassifierSpec:
    try:
        height, width = settings["input_size"][-2:]
        return _checked(name, ClassifierSpec(_triple(settings["mean"]), _triple(settings["std"]), (int(height), int(width))))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"config.json of model '{name}' has no usable input_size, mean and std in pretrained_cfg "
            f"({type(error).__name__}: {error}). Correct the file, or save the model again with timm"
        ) from error


def _checked(name: str, spec: ClassifierSpec) -> ClassifierSpec:
    """Return the specification if its numbers are valid."""
    numbers = (*spec.mean, *spec.std)
    if (
        not all(map(math.isfinite, numbers))
        or min(spec.std) <= 0
        or not all(0 < side <= LARGEST_SIDE for side in spec.input_size)
    ):
        raise UserError(f"model '{name}' states an input that cannot be used: {spec}. Correct its {CONFIG_NAME}")
    return spec


def state_spec(config: PreTrainedConfig, spec: ClassifierSpec) -> None:
    """Write the specification into the configuration of a timm model, where timm reads it; ignore other models."""
    if getattr(config, "pretrained_cfg", None):
        kept = {key: value for key, value in config.pretrained_cfg.items() if not key.startswith("test_")}
        config.pretrained_cfg = kept | {
            "input_size": [3, *spec.input_size],
            "mean": list(spec.mean),
            "std": list(spec.std),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",  # the complete image, whatever its shape
        }


def write_spec(folder: Path, spec: ClassifierSpec) -> None:
    """Write preprocessor_config.json so that transformers' AutoImageProcessor does the same as `Classifier`."""
    height, width = spec.input_size
    settings = {
        "image_processor_type": "ViTImageProcessor",  # resize, rescale, normalise: the simplest of transformers' processors
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


def _mapped(change: Callable[[float], float], values: Colours) -> Colours:
    red, green, blue = map(change, values)
    return red, green, blue


def _triple(values: Any) -> Colours:
    red, green, blue = values if isinstance(values, list | tuple) else (values,) * 3
    return float(red), float(green), float(blue)
