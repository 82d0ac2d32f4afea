"""Settings of `distill`."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from tckr.models.needed import Needed
from tckr.stages.config_base import StageConfig
from tckr.strict import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, MOST_EPOCHS, MOST_STEPS
from tckr.training.config import TrainingConfig

MEMORIZING_LENGTH = 2
"""Steps of the positive control as a multiple of the Student's, if its length is set in steps."""

KEEPS_ALL = {"min_teacher_probability": 0.0}


class DistillConfig(StageConfig, TrainingConfig):
    """Settings of the Student's training."""

    version: ClassVar[int] = 2

    epochs: int = Field(60, ge=1, le=MOST_EPOCHS, description="Passes over the synthetic images.")
    steps: int | None = Field(
        None,
        ge=1,
        le=MOST_STEPS,
        description="Optimizer steps instead of epochs, rounded to complete epochs: sets of any size then cost the same. "
        "null: `epochs` is used.",
    )
    labels: Literal["soft", "hard", "online"] = Field(
        "soft",
        description="Targets: the stored soft labels; the class of the prompt (hard); or, as in the paper, the Teacher's "
        "prediction for each augmented view (online; the Teacher then becomes an input). Label smoothing "
        "and MixUp: hard labels only.",
    )
    temperature: float | None = Field(
        None,
        ge=LOWEST_TEMPERATURE,
        le=HIGHEST_TEMPERATURE,
        description="Divisor of the logits of both Teacher and Student for soft and online labels (Hinton et al. 2015). "
        "null: label.temperature of the stored labels, or 1 online. Labels stored with another temperature are converted.",
    )
    hard_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of the loss on the class of the prompt (with label smoothing); the rest is the loss on "
        "the soft or online labels.",
    )
    min_teacher_probability: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Minimum probability by the Teacher of the class of an image's prompt; images below are "
        "left out and listed in left_out.json; 0 keeps all. At 0.5 and above, the class of the prompt is "
        "the Teacher's first choice for all remaining images.",
    )
    validation_fraction: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the synthetic images held out to monitor (or select) the epoch; no real image is used.",
    )

    def resolved(self, num_images: int) -> DistillConfig:
        """Return the settings with `steps`, if set, converted to epochs over `num_images` training images."""
        if self.steps is None:
            return self
        steps_per_epoch = math.ceil(num_images / self.batch_size)
        return self.model_copy(update={"epochs": max(1, round(self.steps / steps_per_epoch)), "steps": None})

    def trains_together(self, run: int) -> bool:
        """Return whether `run` is the target; the models of other runs are trained beside one another."""
        return run == 0

    def checkpoints(self) -> list[Needed]:
        """Return the Student's model."""
        return [self.needed("distill.model", self.model)]

    def memorizing(self) -> DistillConfig:
        """Return the settings of the audit's positive control: a Student that memorizes its images."""
        length = {"steps": self.steps and min(MOST_STEPS, MEMORIZING_LENGTH * self.steps)}
        return self.attacker().model_copy(update=self.memorizing_changes() | length)

    def attacker(self) -> DistillConfig:
        """Return the settings of an attacker's student, who has the released images and soft labels, but no Teacher."""
        return DistillConfig.model_validate(dict(self) | {"labels": "soft", "hard_weight": 0.0} | KEEPS_ALL)

    def images_alone(self) -> DistillConfig:
        """Return the settings of a Student trained on images and the classes of their prompts, without Teacher labels."""
        return DistillConfig.model_validate(dict(self) | {"labels": "hard", "hard_weight": 0.0} | KEEPS_ALL)

    def null_control(self) -> DistillConfig:
        """Return the settings for the audit's null control: few images, and a weak Teacher."""
        return DistillConfig.model_validate(dict(self) | {"selection": "last", "patience": None} | KEEPS_ALL)
