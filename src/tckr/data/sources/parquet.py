"""Parquet files with an image column (encoded bytes) and a label column; read row group by row group with pyarrow.

Image paths stored in a table are never opened: a table from elsewhere must not choose which local files are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tckr.data.sources.columns import choose_columns
from tckr.data.sources.record import TEST, TRAIN, SourceRecord
from tckr.errors import UserError

READ_BATCH = 64


@dataclass(frozen=True)
class _Table:
    path: Path
    file: str
    origin: str
    num_rows: int


class ParquetSource:
    """All rows of one Parquet file, or of the Parquet files in a folder or its `data` subfolder, in name order."""

    def __init__(self, path: Path, *, image_column: str, label_column: str, test_split: str) -> None:
        """Read every file's footer, and the label column where it names no classes.

        Raises:
            UserError: no file is readable, or the columns cannot be told.
        """
        self.name = path.resolve().stem if path.is_file() else path.resolve().name
        root = path.parent if path.is_file() else path
        files = [path] if path.is_file() else _table_files(path)
        schemas = {file: schema for file in files if (schema := _read_schema(file)) is not None}
        if not schemas:
            raise UserError(
                f"none of {len(files)} Parquet files in {path} is readable; the first is {files[0].name}. "
                "Copy or download them again."
            )
        first = next(iter(schemas.values()))
        self._image, self._label = choose_columns(_kinds(first), image_column, label_column)
        self._tables, self._problems = _sort_files(root, files, schemas, (self._image, self._label), test_split)
        if path.is_dir():
            self._problems += _other_files(path, files)
        names = class_label_names(first, self._label)
        values = list(range(len(names))) if names else _distinct(self._tables, self._label)
        self._index: Mapping[Any, int] = {value: index for index, value in enumerate(values)}
        self.class_names = names or [str(value) for value in values]

    def __len__(self) -> int:
        """Return the number of rows and of refused files."""
        return sum(table.num_rows for table in self._tables) + len(self._problems)

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield one record per row, then one per refused file."""
        for table in self._tables:
            if start < table.num_rows:
                yield from self._rows(table, start)
            start = max(0, start - table.num_rows)
        yield from self._problems[start:]

    def _rows(self, table: _Table, start: int) -> Iterator[SourceRecord]:
        with pq.ParquetFile(table.path) as file:
            row = 0
            for group in range(file.num_row_groups):
                end = row + file.metadata.row_group(group).num_rows
                if end > start:
                    yield from self._group(table, file, group, range(row, end), start)
                row = end

    def _group(self, table: _Table, file: pq.ParquetFile, group: int, rows: range, start: int) -> Iterator[SourceRecord]:
        row = rows.start
        try:
            for batch in file.iter_batches(READ_BATCH, row_groups=[group], columns=[self._image, self._label]):
                images, labels = batch.column(self._image), batch.column(self._label).to_pylist()
                for offset, label in enumerate(labels):
                    if row >= start:
                        name = f"{table.file}#{row}"
                        yield row_record(name, table.origin, images[offset].as_py(), label, self._index)
                    row += 1
        except (pa.ArrowException, OSError) as error:
            for lost in range(max(row, start), rows.stop):
                yield SourceRecord(
                    file=f"{table.file}#{lost}", origin=table.origin, reason="corrupt_table", detail=_one_line(error)
                )


def row_record(file: str, origin: str, image: Any, label: Any, index: Mapping[Any, int]) -> SourceRecord:
    """Return the record of a table row.

    Args:
        file: its name in rejected.csv.
        origin: `train` or `test`.
        image: `{"bytes", "path"}`, bytes or None.
        label: the cell, None where it is empty.
        index: cell value -> label.
    """
    if label is None or label != label:  # a NaN differs from itself
        return SourceRecord(file=file, origin=origin, reason="no_label")
    if label not in index:
        detail = f"{label!r} of {len(index)} classes"
        return SourceRecord(file=file, origin=origin, reason="label_out_of_range", detail=detail)
    data = image.get("bytes") if isinstance(image, dict) else image
    if data is None:
        detail = "only a path is stored" if isinstance(image, dict) and image.get("path") else ""
        return SourceRecord(file=file, origin=origin, label=index[label], reason="no_image", detail=detail)
    return SourceRecord(file=file, origin=origin, label=index[label], data=data)


def _table_files(folder: Path) -> list[Path]:
    found = [*folder.glob("*.parquet"), *folder.glob("data/*.parquet")]
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())


def _other_files(folder: Path, files: list[Path]) -> list[SourceRecord]:
    others = {path for path in folder.rglob("*") if path.is_file()} - set(files)
    names = sorted(path.relative_to(folder).as_posix() for path in others)
    return [SourceRecord(file=name, reason="other_file") for name in names]


def _read_schema(path: Path) -> pa.Schema | None:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return None


def _sort_files(
    root: Path, files: list[Path], schemas: Mapping[Path, pa.Schema], columns: tuple[str, str], test_split: str
) -> tuple[list[_Table], list[SourceRecord]]:
    """Return the tables that have the columns with the first table's types, and a record for each other file."""
    tables, problems = [], []
    types = [next(iter(schemas.values())).field(name).type for name in columns]
    for path in files:
        name = path.relative_to(root).as_posix()
        if path not in schemas:
            problems.append(SourceRecord(file=name, reason="corrupt_table", detail="no readable footer"))
        elif [schemas[path].field(column).type if column in schemas[path].names else None for column in columns] != types:
            problems.append(
                SourceRecord(
                    file=name,
                    reason="corrupt_table",
                    detail=f"columns {', '.join(schemas[path].names)}; needs {', '.join(columns)}",
                )
            )
        else:
            tables.append(_Table(path, name, _origin(path, test_split), pq.read_metadata(path).num_rows))
    if tables and all(table.origin == TEST for table in tables):  # test rows alone are the data set, not a test split
        tables = [_Table(table.path, table.file, TRAIN, table.num_rows) for table in tables]
    return tables, problems


def _origin(path: Path, test_split: str) -> str:
    if not test_split:
        return TRAIN
    named = re.search(rf"(^|[^a-z0-9]){re.escape(test_split.lower())}([^a-z0-9]|$)", path.stem.lower())
    return TEST if named else TRAIN


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return the Hugging Face features in the schema's metadata, {} without or with unusable ones."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def class_label_names(schema: pa.Schema, label: str) -> list[str]:
    """Return the names that the schema's metadata gives the values of the column `label`, [] where it gives none."""
    feature = _features(schema).get(label)
    names = feature.get("names") if isinstance(feature, dict) and pa.types.is_integer(schema.field(label).type) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _kinds(schema: pa.Schema) -> dict[str, str]:
    features = _features(schema)
    return {field.name: _kind(field.type, features.get(field.name)) for field in schema}


def _kind(arrow_type: pa.DataType, feature: Any) -> str:
    declared = feature.get("_type") if isinstance(feature, dict) else None
    if pa.types.is_struct(arrow_type) and (declared == "Image" or arrow_type.get_field_index("bytes") >= 0):
        return "image"
    if pa.types.is_integer(arrow_type):
        return "class label" if declared == "ClassLabel" else "integer"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type):
        return "text"
    return "binary" if pa.types.is_binary(arrow_type) or pa.types.is_large_binary(arrow_type) else str(arrow_type)


def _distinct(tables: list[_Table], label: str) -> list[Any]:
    """Return the sorted values of the label column; a negative number or an empty cell means no class."""
    values: set[Any] = set()
    for table in tables:
        with pq.ParquetFile(table.path) as file:
            try:
                for batch in file.iter_batches(columns=[label]):
                    values |= set(batch.column(0).unique().to_pylist())
            except (pa.ArrowException, OSError):
                continue  # its rows are refused one by one when they are read
    return sorted(value for value in values if value is not None and (isinstance(value, str) or value >= 0))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
