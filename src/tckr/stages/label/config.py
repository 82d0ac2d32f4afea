"""Settings of `label`."""

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
        description="Divisor of the Teacher's logits before the softmax; 1 in the paper.",
    )
    views: int = Field(
        1,
        ge=1,
        le=1000,
        description="Labels per image: one of the original image and one of each of views - 1 augmented "
        "views, on which the Student is then trained in turn. With 1, the Student is trained on its own "
        "augmentations (distill.augment) with the label of the original image. Only soft labels use views.",
    )
    augment: Variation = Field(Variation(), description="How views differ from their image, if views > 1.")
    top_k: int | None = Field(
        None,
        ge=1,
        le=MOST_CLASSES,
        description="Number of most probable classes stored per label; the remaining probability is spread "
        "evenly. null: all.",
    )

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        if self.views > 1 and not any(dict(self.augment).values()):
            raise ValueError("views > 1 needs augmentation: set one of label.augment.* above 0, or views=1")
        return self

    def memorizing(self) -> LabelConfig:
        """Return the settings of the audit's positive control, which stores complete labels of the original images."""
        return LabelConfig.model_validate(dict(self) | {"views": 1, "top_k": None})
