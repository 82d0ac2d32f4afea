"""Settings of `distill`. Imports no torch."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from tckr.models.needed import Needed
from tckr.stages.config_base import StageConfig
from tckr.strict import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, MOST_EPOCHS, MOST_STEPS
from tckr.training.config import TrainingConfig

MEMORIZING_LENGTH = 2
"""Times as many steps as the Student itself, where its length is set in steps."""

KEEPS_ALL = {"min_teacher_probability": 0.0}


class DistillConfig(StageConfig, TrainingConfig):
    """Settings of the Student's training."""

    version: ClassVar[int] = 2

    epochs: int = Field(60, ge=1, le=MOST_EPOCHS, description="Passes over the synthetic images.")
    steps: int | None = Field(
        None,
        ge=1,
        le=MOST_STEPS,
        description="Optimizer steps instead of epochs, to the nearest whole epoch: sets of any size then cost the same. "
        "null: epochs counts.",
    )
    selection: Literal["best", "last"] = Field(
        "last",
        description="Epoch that is kept. A held-out tenth of a small synthetic set, with labels that are not all right, "
        "chooses early epochs by luck; `best` is for large sets.",
    )
    labels: Literal["soft", "hard", "online"] = Field(
        "soft",
        description="What to learn: the stored soft labels; the class of the prompt; or, as in the paper, the Teacher's "
        "word on each augmented view (then the Teacher is an input too). Label smoothing and MixUp: hard labels only.",
    )
    temperature: float | None = Field(
        None,
        ge=LOWEST_TEMPERATURE,
        le=HIGHEST_TEMPERATURE,
        description="Divides the logits of both Teacher and Student where labels are soft or online (Hinton et al. 2015); "
        "null: as the labels are stored (label.temperature), or 1 online. Another than the stored one is reached from it.",
    )
    hard_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the loss that is about the class of the prompt (with label smoothing), the rest being about "
        "the soft or online labels.",
    )
    min_teacher_probability: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Images whose own class, that of the prompt, is less probable to the Teacher are left out and listed in "
        "left_out.json; 0 keeps all. From 0.5 on, whatever stays is the Teacher's first choice too.",
    )
    validation_fraction: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the synthetic images held out to watch (or select) the epoch; no real image is used.",
    )

    def resolved(self, num_images: int) -> DistillConfig:
        """Return the settings with the epochs that `steps`, if set, means for `num_images` images to learn."""
        if self.steps is None:
            return self
        steps_per_epoch = math.ceil(num_images / self.batch_size)
        return self.model_copy(update={"epochs": max(1, round(self.steps / steps_per_epoch)), "steps": None})

    def checkpoints(self) -> list[Needed]:
        """Return the Student's model."""
        return [self.needed("distill.model", self.model)]

    def memorizing(self) -> DistillConfig:
        """Return the settings of the audit's positive control: a Student that learns its images by heart."""
        length = {"steps": self.steps and min(MOST_STEPS, MEMORIZING_LENGTH * self.steps)}
        return self.attacker().model_copy(update=self.memorizing_changes() | length)

    def attacker(self) -> DistillConfig:
        """Return the settings of an attacker's own student: he has the released images and soft labels, but no Teacher."""
        return DistillConfig.model_validate(dict(self) | {"labels": "soft", "hard_weight": 0.0} | KEEPS_ALL)

    def images_alone(self) -> DistillConfig:
        """Return the settings of a Student that has the images and the classes of their prompts, and no Teacher's word."""
        return DistillConfig.model_validate(dict(self) | {"labels": "hard", "hard_weight": 0.0} | KEEPS_ALL)

    def null_control(self) -> DistillConfig:
        """Return the settings for the audit's null control: few images, and a weak Teacher."""
        return DistillConfig.model_validate(dict(self) | {"selection": "last", "patience": None} | KEEPS_ALL)
