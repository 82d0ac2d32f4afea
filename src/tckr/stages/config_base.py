"""Base class of every stage's settings: strict, frozen, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from tckr.models.needed import Needed
from tckr.strict import STRICT


class StageConfig(BaseModel):
    """Settings of one stage, all part of the fingerprint. Raise `version` when equal settings compute something else."""

    model_config = STRICT

    version: ClassVar[int] = 1

    @property
    def prefers_alone(self) -> bool:
        """Return whether to give it the machine alone: it loads a large model, trains a generator or starts processes."""
        return False

    def checkpoints(self) -> Sequence[Needed]:
        """Return the checkpoints that the stage will load; a run looks for them before its first step."""
        return ()

    def trains_together(self, run: int) -> bool:
        """Return whether `execution.gpus` processes train the model of `run` (0 = target)."""
        return False

    @property
    def uses_device(self) -> bool:
        """Return whether the stage computes on a GPU if there is one."""
        return True
