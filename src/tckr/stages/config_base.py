"""The form every stage's settings share: strict, frozen, without torch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from tckr.strict import STRICT


class StageConfig(BaseModel):
    """Settings of one stage, all in the fingerprint. Raise `version` when equal settings compute something else."""

    model_config = STRICT

    version: ClassVar[int] = 1
