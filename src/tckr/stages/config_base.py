"""The form every stage's settings share: strict, frozen, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from tckr.models.needed import Needed
from tckr.strict import STRICT


class StageConfig(BaseModel):
    """Settings of one stage, all in the fingerprint. Raise `version` when equal settings compute something else."""

    model_config = STRICT

    version: ClassVar[int] = 1

    @property
    def prefers_alone(self) -> bool:
        """Return whether the stage wants the machine for itself: it loads a large model or brings its own processes."""
        return False

    def checkpoints(self) -> Sequence[Needed]:
        """Return the checkpoints that the stage will load, so that a run can look for them before its first step."""
        return ()

    @property
    def uses_device(self) -> bool:
        """Return whether the stage computes on a GPU where there is one."""
        return True
