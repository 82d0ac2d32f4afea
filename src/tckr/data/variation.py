"""How much an image may be varied: the one declaration of these ranges. Imports no torch: the command line reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

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


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """What views there are of every image, and how they are made. View 0 is the image as it is.

    Attributes:
        num_views: V; an image has the views 0 to V - 1.
        seed: of all draws.
        ranges: of the changes.
    """

    num_views: int = 1
    seed: int = 0
    ranges: Variation = field(default_factory=Variation.none)

    def as_dict(self) -> dict[str, Any]:
        """Return what a file of soft labels says of its views, all on one level."""
        return {"num_views": self.num_views, "seed": self.seed, **self.ranges.model_dump()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ViewRecipe:
        """Return the recipe of `as_dict`; what is missing has its default."""
        own = {name: values[name] for name in ("num_views", "seed") if name in values}
        ranges = {name: value for name, value in values.items() if name not in own}
        return cls(**own, ranges=Variation.none().model_copy(update=ranges))
