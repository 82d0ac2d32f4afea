"""Tables beside pictures, as columns of values: CSV with any usual separator and encoding, TSV, JSON (lines), Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tckr.errors import UserError

SEPARATORS = (",", ";", "\t", "|")
MISSING = {"", "nan", "NaN", "NA", "N/A", "<NA>", "null", "NULL", "NaT"}
MOST_BYTES = 2**30


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
    columns: dict[str, list[Any]]
    note: str = ""

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()), []))

    @property
    def folder(self) -> str:
        """Return the folder of the table, relative to the source."""
        return self.file.rpartition("/")[0]


def read_table(root: Path, file: str) -> Table:
    """Return the table in `root/file`.

    Raises:
        UnreadableTableError: the file is not a table, or no header names its columns.
    """
    path = root / file
    suffix = PurePosixPath(file).suffix.lower()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableTableError(f"over {MOST_BYTES // 2**20} MiB")
        if suffix == ".parquet":
            return Table(file, _parquet(path))
        text, note = decode_text(path.read_bytes())
        if suffix in {".json", ".jsonl", ".ndjson"}:
            return Table(file, _json(text, lines=suffix != ".json"), note)
        return Table(file, _separated(text), note)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise UnreadableTableError(" ".join(str(error).split())[:200]) from None


def decode_text(data: bytes) -> tuple[str, str]:
    """Return the text of a file, and a note where it is no UTF-8."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16"), "read as UTF-16"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "not UTF-8: read as cp1252 (Windows)"


def _separated(text: str) -> dict[str, list[Any]]:
    head = text.lstrip().partition("\n")[0]
    if "\0" in head:
        raise ValueError("holds binary data")
    separator = max(SEPARATORS, key=head.count)
    if head.lower().startswith("sep=") and len(head.strip()) == 5:  # Excel's own first line
        separator, text = head.strip()[4], text.partition("\n")[2]
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(row)]
    if not rows:
        raise ValueError("holds no row")
    header = [name.strip() for name in rows[0]]
    while header and not header[-1]:
        header.pop()
    names = [name or ("" if position else "index") for position, name in enumerate(header)]  # pandas' unnamed first column
    if len(set(names)) < len(names):
        raise ValueError(f"its first line does not name the columns, or names one twice: {', '.join(names)}")
    return {name: [_cell(row, position) for row in rows[1:]] for position, name in enumerate(names)}


def _cell(row: Sequence[str], position: int) -> str | None:
    value = row[position] if position < len(row) else ""
    return None if value.strip() in MISSING else value


def _json(text: str, *, lines: bool) -> dict[str, list[Any]]:
    rows = [json.loads(line) for line in text.splitlines() if line.strip()] if lines else json.loads(text)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("holds no list of objects, one for each picture")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [_value(row.get(name)) for row in rows] for name in names}


def _parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow as pa

    from tckr.data.unpacking import read_columns

    try:
        table = read_columns(path)
    except (pa.ArrowException, UserError) as error:
        raise ValueError(str(error)) from None
    return {name: [_value(value) for value in table.column(name).to_pylist()] for name in table.column_names}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return None if value.strip() in MISSING else value
    return None if value != value else value  # a NaN differs from itself
