"""What all settings share: strict types, and limits that no sensible use reaches.

A setting takes its own type and no other: true is no number, "3" and 3.0 are no integers. Every number has both bounds and
every text a length, so that nothing a user writes overflows, hangs or fills the memory before it is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)

MOST_EPOCHS = 100_000
MOST_STEPS = 10_000_000
"""Optimizer steps of one training."""

MOST_IMAGES_AT_ONCE = 1_000_000
"""In a batch, or in a file."""

MOST_CLASSES = 100_000
LARGEST_RATE = 10.0
"""A learning rate."""

LARGEST_DECAY = 100.0
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
"""Of a softmax. Below, logits divided by it overflow."""

LARGEST_NORM = 1e9
"""Of a gradient: clipping at it is no clipping."""

PATH_CHARACTERS = 4096

Word = Annotated[str, Field(max_length=300)]
"""The name of a class (a folder has at most 255 characters), a column, a split, a revision."""

Text = Annotated[str, Field(max_length=10_000)]
"""A prompt or a description."""

PathName = Annotated[str, Field(max_length=PATH_CHARACTERS)]
"""A file, a folder, or a name on a hub."""


def _usable(path: Path) -> Path:
    if len(str(path)) > PATH_CHARACTERS or "\0" in str(path):
        raise ValueError(f"expected a path of at most {PATH_CHARACTERS} characters, without NUL")
    return path


FilePath = Annotated[
    Path,
    Field(strict=False),
    AfterValidator(_usable),
    WithJsonSchema({"type": "string", "format": "path", "maxLength": PATH_CHARACTERS}),
]
"""A path, which files give as a text."""
