"""Settings of `label`. Imports no torch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tckr.stages.config_base import StageConfig


class LabelConfig(StageConfig):
    """Settings of soft labelling."""

    version: ClassVar[int] = 1

    temperature: float = Field(1.0, gt=0, description="Divides the Teacher's logits before the softmax; 1 is the paper's.")
