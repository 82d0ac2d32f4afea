"""Settings of `generate`. Model, prompt form and image size come with the adapter."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from tckr.stages.config_base import StageConfig


class GenerateConfig(StageConfig):
    """How many synthetic images are drawn, and how."""

    version: ClassVar[int] = 1

    cardinality: float = Field(
        1.0,
        gt=0,
        description="Synthetic images per member image; 0.1 to 20 in the paper, where 1 is the knee of utility and privacy.",
    )
    steps: int = Field(20, ge=1, le=1000, description="Denoising steps per image; 20 as in the paper.")
    guidance_scale: float = Field(
        2.0, ge=0, description="Classifier-free guidance; 2 as in the paper; 1 and below is off and takes half the time."
    )
    shard_size: int = Field(256, ge=1, description="Images per Parquet file; a kill loses at most the file in progress.")
    redraw: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=list,
        description="Indices of images to draw with other noise, such as those the audit flags as copies; every other image "
        "stays the same. An index given twice is drawn a second time over. Removing flagged images hides what the generator "
        "knows; it does not make it forget.",
    )

    @field_validator("redraw")
    @classmethod
    def _in_order(cls, indices: list[int]) -> list[int]:
        """Sort: the same indices in another order are the same set."""
        return sorted(indices)
