"""Settings of `caption`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from tckr.models.embedded import FOLDERS
from tckr.models.model_names import ModelName
from tckr.models.needed import Needed
from tckr.stages.config_base import StageConfig
from tckr.strict import MOST_CLASSES, PathName, Text, Word


class CaptionConfig(StageConfig):
    """How member images are captioned."""

    version: ClassVar[int] = 1

    model: ModelName = Field(
        "embedded:captioner",
        min_length=1,
        description="Captioner: embedded:captioner, a folder, or a hub id (the paper: Salesforce/blip2-opt-2.7b).",
    )
    revision: Word | None = Field(None, description="Commit or branch of a hub model; pin a commit to repeat a run exactly.")
    max_new_tokens: int = Field(20, ge=1, le=512, description="Longest caption in tokens; 20 as in the paper.")
    prompt: Text = Field(
        "",
        description=(
            "Text that BLIP continues, task of Florence-2 (`<CAPTION>`, `<DETAILED_CAPTION>`, `<MORE_DETAILED_CAPTION>`), "
            "or question to a chat model; empty = no text as in the paper, the first task, or a question for one sentence."
        ),
    )
    file: PathName = Field(
        "",
        description=(
            "Captions from elsewhere instead of the captioner, in the order of the data set: .json (class name: list of "
            "captions), .txt (one `class name: caption` per line), or .parquet (columns label, caption). docs/captions.md."
        ),
    )
    from_source: bool = Field(
        False,
        description=(
            "Use the texts that the data set itself has for its images instead of the captioner: .txt files beside them, "
            "or a column such as text or caption."
        ),
    )
    class_names: dict[Word, Word] = Field(
        default_factory=dict,
        max_length=MOST_CLASSES,
        description="Class name in `file` -> class name in the data set, if they differ; classes are never "
        "matched by order.",
    )

    @property
    def prefers_alone(self) -> bool:
        """Return whether the captioner may need all memory."""
        return not self.file and not self.from_source and self.model not in FOLDERS

    def checkpoints(self) -> list[Needed]:
        """Return the captioner, if it is a checkpoint."""
        if self.file or self.from_source:
            return []
        return [Needed(setting="caption.model", name=self.model, revision=self.revision, embedded=("embedded:captioner",))]

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.file and self.from_source:
            raise ValueError(
                "caption.file and caption.from_source both set the source of the captions; set only one of them"
            )
        return self

    @field_validator("file")
    @classmethod
    def _absolute(cls, file: str) -> str:
        """Return the path as an absolute one, so that a run continues from any working directory."""
        return str(Path(file).expanduser().absolute()) if file else file


class UncaptionedConfig(StageConfig):
    """Settings of `caption` under a formal guarantee, where no prompt contains a caption: there are none."""

    version: ClassVar[int] = 1

    @property
    def uses_device(self) -> bool:
        """Return False: class names are copied."""
        return False
