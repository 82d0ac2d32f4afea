"""Tables beside pictures, as columns of values: CSV with any usual separator and encoding, TSV, JSON (lines), Parquet.

They are read row by row into columns on disk. A JSON file that is one list is in memory completely while it is read.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tckr.data.layouts.names import suffix_of
from tckr.data.stored import ListStore, StoredList
from tckr.errors import UserError

SEPARATORS = (",", ";", "\t", "|")
MISSING = {"", "nan", "NaN", "NA", "N/A", "<NA>", "null", "NULL", "NaT"}
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
CP1252 = "not UTF-8: read as cp1252 (Windows)"
MOST_BYTES = 2**30
BATCH_ROWS = 1000
BATCH_CHARACTERS = 2**16
NO_OBJECTS = "contains no list of objects, one for each picture"


class UnreadableTableError(Exception):
    """The file is not a table; the message is the reason."""


@dataclass(frozen=True)
class Table:
    """A table as it was read.

    Attributes:
        file: path of the table, relative to the source.
        columns: name -> values, all of one length; an empty cell is None.
        note: a guess that was necessary, such as the encoding.
    """

    file: str
    columns: Mapping[str, Sequence[Any]]
    note: str = ""

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def folder(self) -> str:
        """Return the folder of the table, relative to the source."""
        return self.file.rpartition("/")[0]


def read_table(root: Path, file: str) -> Table:
    """Return the table in `root/file`.

    Raises:
        UnreadableTableError: the file is not a table, or no header names its columns.
    """
    path, suffix = root / file, suffix_of(file).lower()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableTableError(f"over {MOST_BYTES // 2**20} MiB")
        if suffix == ".parquet":
            return Table(file, _parquet(path))
        encoding, errors, note = _encoding(path)
        with path.open(encoding=encoding, errors=errors, newline="") as text:
            if suffix == ".json":
                return Table(file, _json(json.load(text)), note)
            if suffix in {".jsonl", ".ndjson"}:
                return Table(file, _json(json.loads(line) for line in text if line.strip()), note)
            return Table(file, _separated(text), note)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise UnreadableTableError(" ".join(str(error).split())[:200]) from None


def decode_text(data: bytes) -> tuple[str, str]:
    """Return the text of a file, and a note if it is not UTF-8."""
    if data[:2] in UTF_16:
        return data.decode("utf-16"), "read as UTF-16"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), CP1252


def _encoding(path: Path) -> tuple[str, str, str]:
    """Return (encoding, what to do about errors, note) with which `decode_text` would read a file; reads it in parts."""
    with path.open("rb") as file:
        if file.read(2) in UTF_16:
            return "utf-16", "strict", "read as UTF-16"
    try:
        with path.open(encoding="utf-8-sig") as text:
            while text.read(BATCH_CHARACTERS):
                pass
    except UnicodeDecodeError:
        return "cp1252", "replace", CP1252
    return "utf-8-sig", "strict", ""


def _separated(text: TextIO) -> dict[str, StoredList[Any]]:
    lines = itertools.dropwhile(lambda line: not line.strip(), text)
    first = next(lines, "")
    head = first.lstrip()
    if "\0" in head:
        raise ValueError("contains binary data")
    separator = max(SEPARATORS, key=head.count)
    if head.lower().startswith("sep=") and len(head.strip()) == 5:  # Excel's own first line
        separator, first = head.strip()[4], ""
    rows = (row for row in csv.reader(itertools.chain([first], lines), delimiter=separator) if any(row))
    header = [name.strip() for name in next(rows, [])]
    if not header:
        raise ValueError("contains no row")
    while header and not header[-1]:
        header.pop()
    names = [name or ("" if position else "index") for position, name in enumerate(header)]  # pandas' unnamed first column
    if len(set(names)) < len(names):
        raise ValueError(f"its first line does not name the columns, or names one twice: {', '.join(names)}")
    return _stored(names, ((_cell(row, position) for position in range(len(names))) for row in rows))


def _stored(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> dict[str, StoredList[Any]]:
    """Return the columns of `rows`, each of which has a value for each of `names`."""
    store = ListStore()
    columns: dict[str, StoredList[Any]] = {name: StoredList(store=store) for name in names}
    for row in rows:
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return columns


def _cell(row: Sequence[str], position: int) -> str | None:
    value = row[position] if position < len(row) else ""
    return None if value.strip() in MISSING else value


def _json(rows: Iterable[Any]) -> dict[str, StoredList[Any]]:
    """Return the columns of objects, one for each picture; objects may lack some of the names."""
    store = ListStore()
    columns: dict[str, StoredList[Any]] = {}
    for number, row in enumerate(rows if isinstance(rows, list | Iterator) else ()):
        if not isinstance(row, dict):
            raise ValueError(NO_OBJECTS)
        for name in row:
            if name not in columns:
                columns[name] = StoredList(itertools.repeat(None, number), store=store)
        for name, column in columns.items():
            column.append(_value(row.get(name)))
    if not columns:
        raise ValueError(NO_OBJECTS)
    return columns


def _parquet(path: Path) -> dict[str, StoredList[Any]]:
    import pyarrow as pa

    from tckr.data.unpacking import Unpacking, open_parquet

    try:
        with open_parquet(path) as file:
            names = list(file.schema_arrow.names)
            batches = Unpacking(path).batches(file, names, most_rows=BATCH_ROWS)
            rows = (row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))
            return _stored(names, (map(_value, row) for row in rows))
    except (pa.ArrowException, UserError) as error:
        raise ValueError(str(error)) from None


def _value(value: Any) -> Any:
    """Return a cell as a value of JSON; None if it is empty or contains bytes."""
    if isinstance(value, str):
        return None if value.strip() in MISSING else value
    if value != value or isinstance(value, bytes):  # a NaN differs from itself
        return None
    return value if value is None or isinstance(value, int | float | list | dict) else str(value)
