"""Ranges of random image changes, declared once. Imports no torch, because the command line reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, Field

from tckr.strict import STRICT


class Variation(BaseModel):
    """Ranges of the random changes for training images and labelled views."""

    model_config = STRICT

    shift: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Maximum shift along each axis, fraction of a side; edges are repeated; 0.1 in the paper",
    )
    rotation_degrees: float = Field(10.0, ge=0, le=180, description="Maximum rotation in both directions, degrees.")
    scale: float = Field(0.1, ge=0, lt=1, description="Maximum relative change of size in both directions.")
    flip: bool = Field(
        False, description="Flip left-right with probability 0.5. Off by default, because e.g. digits are not symmetric."
    )
    jitter: float = Field(0.0, ge=0, lt=1, description="Maximum relative change of brightness and contrast.")

    @classmethod
    def none(cls) -> Self:
        """Return ranges that leave images unchanged."""
        return cls(shift=0.0, rotation_degrees=0.0, scale=0.0)


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """Number of views per image, and how they are made. View 0 is the original image.

    Attributes:
        num_views: V; an image has the views 0 to V - 1.
        seed: seed of all random numbers.
        ranges: ranges of the changes.
    """

    num_views: int = 1
    seed: int = 0
    ranges: Variation = field(default_factory=Variation.none)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as a flat dictionary for the metadata of a file of soft labels."""
        return {"num_views": self.num_views, "seed": self.seed, **self.ranges.model_dump()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ViewRecipe:
        """Return the recipe from `as_dict`; missing entries have their defaults."""
        own = {name: values[name] for name in ("num_views", "seed") if name in values}
        ranges = {name: value for name, value in values.items() if name not in own}
        return cls(**own, ranges=Variation.none().model_copy(update=ranges))
