"""Settings for the conversion of images to squares with 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fit = Literal["crop", "pad", "squash"]
Intensity = Literal["full", "range", "window"]


@dataclass(frozen=True)
class Treatment:
    """Conversion of images to squares with 8 bits: `prepare.fit`, `prepare.intensity` and `prepare.window`."""

    fit: Fit = "crop"
    intensity: Intensity = "full"
    window: tuple[float, float] = (0.0, 0.0)
