"""Settings of `teach`, and those of the audit's two control models. Imports no torch."""

from __future__ import annotations

from typing import ClassVar

from tckr.stages.config_base import StageConfig
from tckr.training.config import TrainingConfig


class TeachConfig(StageConfig, TrainingConfig):
    """Settings of the Teacher's training."""

    version: ClassVar[int] = 1

    def memorizing(self) -> TeachConfig:
        """Return the audit's positive control: the same model without anything that hinders learning records by heart."""
        return TeachConfig.model_validate(dict(self) | self.memorizing_changes())

    def null_control(self) -> TeachConfig:
        """Return the settings of the audit's null control: it learns the validation split, so none is left to select on."""
        return TeachConfig.model_validate(dict(self) | {"selection": "last", "patience": None})
