"""Match the rows of a table to pictures by path, name or stem, and find the column that names them. Opens no file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tckr.data.layouts.labels import whole_number
from tckr.data.layouts.tables import Table
from tckr.errors import UserError

USUAL_PATHS = (
    "file_name",
    "filename",
    "file",
    "path",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "img",
    "image_id",
    "id",
)
SAMPLE = 500
"""Rows by which the column is chosen."""


@dataclass(frozen=True)
class Match:
    """The pictures that a table names.

    Attributes:
        column: the column of paths or names.
        files: the picture of each row, below the source; None where none or several fit.
    """

    column: str
    files: list[str | None]

    @property
    def found(self) -> set[str]:
        """Return the pictures that at least one row names."""
        return {file for file in self.files if file is not None}


class Pictures:
    """All pictures of a source, found by path, by name and by stem."""

    def __init__(self, files: Iterable[str]) -> None:
        """Index the paths, relative to the source."""
        self.paths = set(files)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_case: dict[str, list[str]] = defaultdict(list)
        for file in sorted(self.paths):
            path = PurePosixPath(file)
            self._by_name[path.name].append(file)
            self._by_stem[path.stem].append(file)
            self._by_case[path.name.lower()].append(file)

    def find(self, value: Any, folder: str) -> str | None:
        """Return the picture that `value`, a cell of a table in `folder`, names; None where none or several fit.

        It is looked for beside the table, below the source, then by name, by name without extension, and by name in whatever
        case; of several that share a name, one below the table's folder is taken if it is the only one there. A number
        without extension is also looked for as pandas would not write it: 7 for 7.0.
        """
        if value is None or isinstance(value, (bool, list, dict, bytes)):
            return None
        found = self._find(str(value), folder)
        number = whole_number(str(value)) if found is None else None
        return found if number is None else self._find(str(number), folder)

    def _find(self, value: str, folder: str) -> str | None:
        name = value.strip().replace("\\", "/").removeprefix("./").lstrip("/")
        if not name:
            return None
        for path in (f"{folder}/{name}" if folder else name, name):
            if path in self.paths:
                return path
        parts = name.split("/")
        for start in range(1, len(parts) - 1):  # the table may know the source by another folder above it
            if (path := "/".join(parts[start:])) in self.paths:
                return path
        last = parts[-1]
        for index, key in ((self._by_name, last), (self._by_stem, last), (self._by_case, last.lower())):
            if key in index:
                return _only(index[key], name, folder)
        return None


def _only(files: Sequence[str], name: str, folder: str) -> str | None:
    """Return the one of `files`, which share a name, that `name` means."""
    near = [file for file in files if file.startswith(f"{folder}/")] if folder else []
    ends = [file for file in files if "/" in name and PurePosixPath(file).with_suffix("").as_posix().endswith(name)]
    ends += [file for file in files if "/" in name and file.endswith(f"/{name}")]
    return next((group[0] for group in (ends, near, files) if len(group) == 1), None)


def match_pictures(table: Table, pictures: Pictures, asked: str) -> Match | None:
    """Return which picture each row names, by the column `asked` or the one that names most; None where no row names any.

    Raises:
        UserError: two columns name different pictures.
    """
    if not pictures.paths:
        return None
    if asked:
        return _match(table, pictures, asked) if asked in table.columns else None
    sizes = {name: _distinct(table, pictures, name) for name in table.columns}
    most = max(sizes.values(), default=0)
    rows = min(SAMPLE, table.num_rows)
    if not most or most < min(2, rows):
        return None
    likely = [name for name, size in sizes.items() if size > most / 2]
    certain = [name for word in USUAL_PATHS for name in likely if _key(name) == word]
    plain = [name for name in likely if "mask" not in name.lower()] or likely
    chosen = (certain or plain)[0]
    others = [name for name in plain if name != chosen and not certain and _differ(table, pictures, chosen, name)]
    if others:
        raise UserError(
            f"{table.file}: the columns {chosen!r} and {others[0]!r} both name pictures. Say which one to read: "
            "prepare.image_column=NAME."
        )
    if _key(chosen) not in USUAL_PATHS and pictures.find(chosen, table.folder):
        raise UserError(
            f"the first line of {table.file} names a picture ({chosen}), not the columns. Write a line above it, such as "
            "file_name,label."
        )
    return _match(table, pictures, chosen)


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _match(table: Table, pictures: Pictures, column: str) -> Match:
    return Match(column, [pictures.find(value, table.folder) for value in table.columns[column]])


def _distinct(table: Table, pictures: Pictures, column: str) -> int:
    found = [pictures.find(value, table.folder) for value in table.columns[column][:SAMPLE]]
    return len({file for file in found if file is not None})


def _differ(table: Table, pictures: Pictures, one: str, other: str) -> bool:
    pairs = zip(table.columns[one][:SAMPLE], table.columns[other][:SAMPLE], strict=True)
    found = [(pictures.find(left, table.folder), pictures.find(right, table.folder)) for left, right in pairs]
    return any(left != right for left, right in found if left and right)


def columns_of(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return the names of columns for a message."""
    return ", ".join(columns) or "none"
