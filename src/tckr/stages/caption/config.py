"""Settings of `caption`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tckr.stages.config_base import StageConfig


class CaptionConfig(StageConfig):
    """How member images are put into words."""

    version: ClassVar[int] = 1

    model: str = Field(
        "embedded:captioner",
        min_length=1,
        description="Captioner: embedded:captioner, a folder, or a hub id (the paper: Salesforce/blip2-opt-2.7b).",
    )
    revision: str | None = Field(None, description="Commit or branch of a hub model; pin a commit to repeat a run exactly.")
    max_new_tokens: int = Field(20, ge=1, le=512, description="Longest caption in tokens; 20 as in the paper.")
    prompt: str = Field("", description="Text the caption continues; empty as in the paper, so the model says what it sees.")
