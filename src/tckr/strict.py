"""Base of all settings: strict types, and limits beyond every sensible value.

A setting accepts only its own type: true is not a number, "3" and 3.0 are not integers. Every number has two bounds and
every text a maximum length, so that no input can overflow, hang or fill the memory before it is rejected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)

MOST_EPOCHS = 100_000
MOST_STEPS = 10_000_000
"""Maximum optimizer steps of one training."""

MOST_IMAGES_AT_ONCE = 1_000_000
"""Maximum images in a batch, or in a file."""

MOST_CLASSES = 100_000
LARGEST_RATE = 10.0
"""Maximum learning rate."""

LARGEST_DECAY = 100.0
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3
"""Minimum temperature of a softmax. Logits divided by a smaller one overflow."""

LARGEST_NORM = 1e9
"""Maximum norm for gradient clipping; at this value nothing is clipped."""

PATH_CHARACTERS = 4096

Word = Annotated[str, Field(max_length=300)]
"""Maximum length of a name of a class (a folder has at most 255 characters), column, split or revision."""

Text = Annotated[str, Field(max_length=10_000)]
"""Maximum length of a prompt or a description."""

PathName = Annotated[str, Field(max_length=PATH_CHARACTERS)]
"""Maximum length of a path or of a name on a hub."""


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
"""A path, given as a text."""
