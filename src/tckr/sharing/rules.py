"""Rules that copy a part of a file: columns of a table, keys of a JSON file, tensors without metadata."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tckr.data.shards import IMAGE_TYPE, ROW_GROUP_RECORDS

HUGGINGFACE, TCKR = b"huggingface", b"tckr"
"""Allowed metadata of a Parquet file: column types, and how soft labels were made."""

HEADER_LENGTH = 8
"""Length in bytes of the field at the start of a safetensors file that gives the size of its header."""


class Rule(Protocol):
    """Copies the part of a file that may leave."""

    def copy(self, source: Path, target: Path) -> None:
        """Write `target`."""
        ...


@dataclass(frozen=True)
class Whole:
    """The complete file, for files that contain only what may leave."""

    def copy(self, source: Path, target: Path) -> None:
        """Copy the bytes."""
        shutil.copyfile(source, target)


@dataclass(frozen=True)
class Table:
    """Columns of a Parquet file, as far as it has them. File names stored with the images are removed.

    Attributes:
        columns: names of the columns.
        zero: name of a column; if the file has it, only rows with the value 0 are copied.
    """

    columns: tuple[str, ...]
    zero: str = ""

    def copy(self, source: Path, target: Path) -> None:
        """Write these columns, one row group at a time, with metadata of these columns only."""
        with pq.ParquetFile(source) as file:
            found = file.schema_arrow
            names, read = ([name for name in wanted if name in found.names] for wanted in (self.columns, self._read()))
            schema = pa.schema([found.field(name).remove_metadata() for name in names], _kept_metadata(found, names))
            with pq.ParquetWriter(target, schema) as writer:
                for batch in file.iter_batches(ROW_GROUP_RECORDS, columns=read):
                    rows = batch.filter(pc.equal(batch.column(self.zero), 0)) if self.zero in read else batch
                    writer.write_batch(pa.record_batch([_bare(rows.column(name)) for name in names], schema=schema))

    def _read(self) -> tuple[str, ...]:
        return (*self.columns, self.zero)


@dataclass(frozen=True)
class Keys:
    """A JSON file: all its numbers and switches, and the texts under some keys."""

    words: frozenset[str]

    def copy(self, source: Path, target: Path) -> None:
        """Write the file without all other texts."""
        kept = self._kept(json.loads(source.read_text(encoding="utf-8")))
        target.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _kept(self, values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key in self.words or _is_numeric(value)}


@dataclass(frozen=True)
class Weights:
    """The tensors of a safetensors file, without metadata except the format entry that transformers requires."""

    def copy(self, source: Path, target: Path) -> None:
        """Write a new header and copy the tensors unchanged."""
        with source.open("rb") as read, target.open("wb") as written:
            header = json.loads(read.read(int.from_bytes(read.read(HEADER_LENGTH), "little")))
            notes = header.pop("__metadata__", {})
            text = json.dumps({"__metadata__": {"format": "pt"}, **header} if "format" in notes else header).encode()
            text += b" " * (-len(text) % HEADER_LENGTH)
            written.write(len(text).to_bytes(HEADER_LENGTH, "little") + text)
            shutil.copyfileobj(read, written)


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list | dict):
        return all(_is_numeric(each) for each in (value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, bool | int | float)


def _bare(column: pa.Array) -> pa.Array:
    if column.type != IMAGE_TYPE:
        return column
    return pa.StructArray.from_arrays([column.field("bytes"), pa.nulls(len(column), pa.string())], fields=list(IMAGE_TYPE))


def _kept_metadata(schema: pa.Schema, names: list[str]) -> dict[bytes, bytes]:
    """Return the types of the kept columns, and the temperature of soft labels."""
    metadata, kept = schema.metadata or {}, {}
    if HUGGINGFACE in metadata:
        features = json.loads(metadata[HUGGINGFACE])["info"]["features"]
        kept[HUGGINGFACE] = json.dumps({"info": {"features": {name: features[name] for name in names}}}).encode()
    if TCKR in metadata:
        kept[TCKR] = json.dumps({"temperature": json.loads(metadata[TCKR])["temperature"]}).encode()
    return kept
