"""Texts that a data set itself gives its pictures: cells of a table, or `.txt` files beside them (kohya's layout)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from tckr.data.layouts.survey import is_picture
from tckr.data.layouts.tables import decode_text
from tckr.data.sources.files import read_file

SUFFIX = ".txt"
MOST_BYTES = 65_536
"""Of a text; a longer file is none."""


class TextFiles:
    """The text of each picture, read when it is asked for; a table's comes before that of a file."""

    def __init__(self, root: Path, files: Iterable[str], said: Mapping[str, str]) -> None:
        """Find which of `files`, below `root`, are texts beside a picture; `said` is picture -> cell of a table."""
        found = list(files)
        texts = {_stem(file): file for file in found if file.endswith(SUFFIX)}
        pictures = [file for file in found if is_picture(PurePosixPath(file).name)]
        self._root, self._said = root, said
        self._text_of = {file: texts[_stem(file)] for file in pictures if _stem(file) in texts}
        self._texts = set(self._text_of.values())

    def holds(self, file: str) -> bool:
        """Return whether `file` is the text of a picture."""
        return file in self._texts

    def caption_of(self, file: str) -> str | None:
        """Return the text of the picture `file`, None where it has none."""
        if file in self._said:
            return self._said[file]
        if file not in self._text_of:
            return None
        data, reason, _ = read_file(self._root / self._text_of[file], MOST_BYTES)
        return None if reason else decode_text(data)[0]


def _stem(file: str) -> str:
    return file[: len(file) - len(PurePosixPath(file).suffix)]
