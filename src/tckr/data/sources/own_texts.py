"""Captions that a data set contains: `.txt` files beside the pictures (kohya's layout)."""

from __future__ import annotations

from tckr.data.layouts.names import stem_of
from tckr.data.layouts.tables import decode_text
from tckr.data.sources.files import read_file

SUFFIX = ".txt"
MOST_BYTES = 65_536
"""Maximum size of a caption file; a larger file is ignored."""


def text_beside(file: str) -> str:
    """Return the path of the caption file of the picture `file`."""
    return stem_of(file) + SUFFIX


def read_text(path: str) -> str | None:
    """Return the text in a file; None if it cannot be read or is too long."""
    data, reason, _ = read_file(path, MOST_BYTES)
    return None if reason else decode_text(data)[0]
