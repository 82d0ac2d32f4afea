"""Settings of `teach`, and the two controls of the audit that are made from them. Imports no torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tckr.stages.config_base import StageConfig
from tckr.training.config import AugmentConfig, TrainingConfig

MEMORIZING_EPOCHS = 100
"""Enough for the embedded classifier to fit every member to the last digit; about 30 s of one thread for 650 images."""


class TeachConfig(StageConfig, TrainingConfig):
    """Settings of the Teacher's training."""

    version: ClassVar[int] = 1

    def memorizing(self) -> TeachConfig:
        """Return the audit's positive control: the same model without anything that hinders learning records by heart."""
        changes = {
            "epochs": max(MEMORIZING_EPOCHS, 2 * self.epochs),
            "weight_decay": 0.0,
            "label_smoothing": 0.0,
            "augment": AugmentConfig.none(),
            "selection": "last",
            "patience": None,
        }
        return TeachConfig.model_validate(dict(self) | changes)

    def null_control(self) -> NullTeachConfig:
        """Return the audit's null control: the same training on records that are members of no run."""
        return NullTeachConfig.model_validate(dict(self) | {"selection": "last", "patience": None})


class NullTeachConfig(TeachConfig):
    """Settings of the null control, which no user can choose: a Teacher must have learned its run's members."""

    train_on: Literal["validation"] = Field("validation", description="Records to learn; none is left to select on.")
