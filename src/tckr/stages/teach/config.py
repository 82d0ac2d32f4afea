"""Settings of `teach`, and the two controls of the audit that are made from them. Imports no torch."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from tckr.stages.config_base import StageConfig
from tckr.training.config import AugmentConfig, TrainingConfig

MEMORIZING_EPOCHS = 100
"""Enough for the embedded classifier to fit every member to the last digit; about 30 s of one thread for 650 images."""


class TeachConfig(StageConfig, TrainingConfig):
    """Settings of the Teacher's training."""

    version: ClassVar[int] = 1

    train_on: Literal["members", "validation"] = Field(
        "members",
        description="Records to learn: the run's members, or (null control of the audit) the validation split.",
    )

    @model_validator(mode="after")
    def _validation_is_not_both(self) -> Self:
        if self.train_on == "validation" and (self.selection != "last" or self.patience is not None):
            raise ValueError(
                "train_on is 'validation', so no images are left to select on; set selection to 'last' and patience to null"
            )
        return self

    def memorizing(self) -> TeachConfig:
        """Return the audit's positive control: the same model without anything that hinders learning records by heart."""
        return self._with(
            epochs=max(MEMORIZING_EPOCHS, 2 * self.epochs),
            weight_decay=0.0,
            label_smoothing=0.0,
            augment=AugmentConfig.none(),
            selection="last",
            patience=None,
        )

    def null_control(self) -> TeachConfig:
        """Return the audit's null control: the same training on records that are members of no run."""
        return self._with(train_on="validation", selection="last", patience=None)

    def _with(self, **changes: object) -> TeachConfig:
        return TeachConfig.model_validate(dict(self) | changes)
