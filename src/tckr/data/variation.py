"""How much an image may be varied: the one declaration of these ranges. Imports no torch: the command line reads it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from tckr.strict import STRICT


class Variation(BaseModel):
    """Ranges of the random changes that training images and labelled views share."""

    model_config = STRICT

    shift: float = Field(
        0.1, ge=0, lt=1, description="Largest shift along each axis, fraction of a side; edges repeat; paper 0.1"
    )
    rotation_degrees: float = Field(10.0, ge=0, le=180, description="Largest rotation either way, degrees.")
    scale: float = Field(0.1, ge=0, lt=1, description="Largest relative change of size either way.")
    flip: bool = Field(False, description="Mirror left-right half of the time; off: writing is not symmetric.")
    jitter: float = Field(0.0, ge=0, lt=1, description="Largest relative change of brightness and contrast.")

    @classmethod
    def none(cls) -> Self:
        """Return ranges that leave images as they are."""
        return cls(shift=0.0, rotation_degrees=0.0, scale=0.0)
