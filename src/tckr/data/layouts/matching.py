"""Match the rows of a table to pictures by path, name or stem, and find the column that names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tckr.data.layouts.columns import whole_number
from tckr.data.layouts.names import stem_of
from tckr.data.layouts.tables import Table
from tckr.data.stored import Store, StoredList, StoredMap, as_key, as_text
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
"""Number of rows that are read to choose the column."""

BY = ("name", "stem", "folded")
"""Columns in which a picture is searched: its name, its name without extension, its name in lower case."""


@dataclass(frozen=True)
class Match:
    """The pictures that a table names.

    Attributes:
        column: the column of paths or names.
        files: the picture of each row, relative to the source; None if no picture or several match.
        found: the pictures that at least one row names.
    """

    column: str
    files: Sequence[str | None]
    found: Collection[str]


class Pictures(Collection[str]):
    """All pictures of a source in the order of their paths, found by path, by name and by stem. Kept on disk."""

    def __init__(self, files: Iterable[str]) -> None:
        """Index the paths, relative to the source."""
        columns = "path BLOB PRIMARY KEY, name BLOB, stem BLOB, folded BLOB"
        self._store = Store(f"CREATE TABLE pictures ({columns}) WITHOUT ROWID")
        self._store.insert("INSERT INTO pictures VALUES (?, ?, ?, ?)", map(_keys, files))
        for column in BY:
            self._store.database.execute(f"CREATE INDEX by_{column} ON pictures ({column})")

    def __len__(self) -> int:
        """Return the number of pictures, by counting them."""
        return int(self._store.database.execute("SELECT count(*) FROM pictures").fetchone()[0])

    def __iter__(self) -> Iterator[str]:
        """Yield the paths."""
        return (as_text(path) for (path,) in self._store.database.execute("SELECT path FROM pictures ORDER BY path"))

    def __contains__(self, path: object) -> bool:
        """Return whether there is a picture of this path."""
        select = "SELECT 1 FROM pictures WHERE path = ?"
        return self._store.database.execute(select, (as_key(str(path)),)).fetchone() is not None

    def find(self, value: Any, folder: str) -> str | None:
        """Return the picture that `value`, a cell of a table in `folder`, names; None if no picture or several match.

        The search is beside the table, below the source, then by name, by name without extension, and by name in any case.
        If several pictures share a name, the one below the table's folder is used, if there is only one. A number without
        extension is also searched without the decimal that pandas adds: 7 for 7.0.
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
            if path in self:
                return path
        parts = name.split("/")
        for start in range(1, len(parts) - 1):  # the table may name another folder above the source
            if (path := "/".join(parts[start:])) in self:
                return path
        last = parts[-1]
        for column, value in zip(BY, (last, last, last.lower()), strict=True):
            if files := self._by(column, value):
                return _only(files, name, folder)
        return None

    def _by(self, column: str, value: str) -> list[str]:
        select = f"SELECT path FROM pictures WHERE {column} = ? ORDER BY path"
        return [as_text(path) for (path,) in self._store.database.execute(select, (as_key(value),))]


def _keys(file: str) -> tuple[bytes, ...]:
    """Return the path, and the other names by which a picture is found, in the order of BY."""
    name = file.rpartition("/")[2]
    return as_key(file), as_key(name), as_key(stem_of(name)), as_key(name.lower())


def _only(files: Sequence[str], name: str, folder: str) -> str | None:
    """Return which of `files` with the same name is meant; None if that is unclear."""
    near = [file for file in files if file.startswith(f"{folder}/")] if folder else []
    ends = [file for file in files if "/" in name and stem_of(file).endswith(name)]
    ends += [file for file in files if "/" in name and file.endswith(f"/{name}")]
    return next((group[0] for group in (ends, near, files) if len(group) == 1), None)


def match_pictures(table: Table, pictures: Pictures, named: str) -> Match | None:
    """Return the picture of each row, by the column `named`, or the column that names most; None if no row names one.

    Raises:
        UserError: two columns name different pictures.
    """
    if named:
        return _match(table, pictures, named) if named in table.columns else None
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
            f"{table.file}: the columns {chosen!r} and {others[0]!r} both name pictures. Name the one to read: "
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


def _match(table: Table, pictures: Pictures, column: str) -> Match | None:
    files = StoredList(pictures.find(value, table.folder) for value in table.columns[column])
    found = StoredMap((file, None) for file in files if file is not None)
    return Match(column, files, found) if found else None


def _distinct(table: Table, pictures: Pictures, column: str) -> int:
    found = [pictures.find(value, table.folder) for value in table.columns[column][:SAMPLE]]
    return len({file for file in found if file is not None})


def _differ(table: Table, pictures: Pictures, one: str, other: str) -> bool:
    pairs = zip(table.columns[one][:SAMPLE], table.columns[other][:SAMPLE], strict=True)
    found = [(pictures.find(left, table.folder), pictures.find(right, table.folder)) for left, right in pairs]
    return any(left != right for left, right in found if left and right)


def columns_of(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return the names of columns, for a message."""
    return ", ".join(columns) or "none"
