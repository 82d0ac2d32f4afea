"""Settings of `label`. Imports no torch."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from tckr.data.variation import Variation
from tckr.stages.config_base import StageConfig
from tckr.strict import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, MOST_CLASSES


class LabelConfig(StageConfig):
    """Settings of soft labelling."""

    version: ClassVar[int] = 1

    temperature: float = Field(
        1.0,
        ge=LOWEST_TEMPERATURE,
        le=HIGHEST_TEMPERATURE,
        description="Divides the Teacher's logits before the softmax; 1 is the paper's.",
    )
    views: int = Field(
        1,
        ge=1,
        le=1000,
        description="Labels per image: of the image as it is and of views - 1 augmented views, which the Student then sees "
        "in turn. With 1 the Student learns the label of the image as it is on augmentations of its own (distill.augment).",
    )
    augment: Variation = Field(Variation(), description="How views differ from their image, where views > 1.")
    top_k: int | None = Field(
        None,
        ge=1,
        le=MOST_CLASSES,
        description="Likeliest classes that are stored per label, the rest being spread evenly; null: all.",
    )

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        if self.views > 1 and not any(dict(self.augment).values()):
            raise ValueError("views > 1 needs views that differ: set one of label.augment.* above 0, or views=1")
        return self

    def memorizing(self) -> LabelConfig:
        """Return the settings of the audit's positive control, which learns whole labels of the very images."""
        return LabelConfig.model_validate(dict(self) | {"views": 1, "top_k": None})
