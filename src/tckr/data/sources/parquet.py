"""Read Parquet files with an image column (encoded bytes) and a label column, row group by row group, with pyarrow.

Image paths stored in a table are never opened: a table from elsewhere must not choose which local files are read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tckr.data.groups import Grouping
from tckr.data.layouts.columns import NoClassError, alike, refuse_unclassed
from tckr.data.layouts.description import Layout, LayoutPart, LeftOut, merge_counts
from tckr.data.layouts.names import split_of
from tckr.data.layouts.readings import Part
from tckr.data.rejections import REASONS
from tckr.data.sources.classes import join_classes
from tckr.data.sources.columns import caption_column, choose_columns, require_group_column
from tckr.data.sources.record import TEST, TRAIN, SourceRecord, printable
from tckr.data.unpacking import Unpacking, open_parquet
from tckr.errors import UserError

READ_BATCH = 64
COUNT_BATCH = 2**12


@dataclass(frozen=True)
class _Table:
    """A file that is read: its split, its rows, and the label of each value of its label column."""

    path: Path
    file: str
    part: Part
    num_rows: int
    index: Mapping[Any, int] = field(default_factory=dict)


class ParquetSource:
    """All rows of one Parquet file, or of the Parquet files in a folder or its `data` subfolder, in name order."""

    def __init__(
        self,
        path: Path,
        files: Mapping[Path, Part],
        *,
        image_column: str,
        label_column: str,
        grouping: Grouping,
        max_unpacked: int,
    ) -> None:
        """Read every file's footer and label column.

        Args:
            path: the file, or the folder that holds `files`.
            files: the files to read, with the split of each.
            image_column: column of the images; empty = detect.
            label_column: column of the labels; empty = detect.
            grouping: column of the groups.
            max_unpacked: limit of `Unpacking`.

        Raises:
            UserError: no file is readable, the columns cannot be determined, a test split has no labels, or a file is a
            decompression bomb.
        """
        self._max_unpacked = max_unpacked
        self.name = path.resolve().stem if path.is_file() else path.resolve().name
        root = path.parent if path.is_file() else path
        schemas = {file: schema for file in files if (schema := _read_schema(file)) is not None}
        if not schemas:
            raise UserError(
                f"none of {len(files)} Parquet files in {path} is readable; the first is {next(iter(files)).name}. "
                "Copy or download them again."
            )
        first = schemas[min(schemas, key=lambda file: _is_aside(files[file]))]
        self._image, self._label = choose_columns(_kinds(first), image_column, label_column)
        self._grouping = require_group_column(grouping, first.names)
        self._caption = caption_column(_kinds(first), (self._image, self._label))
        needed = grouping.columns(self._image, self._label)
        self._columns = grouping.columns(self._image, self._label, self._caption)
        tables, self._problems = _sort_files(root, files, schemas, first, needed)
        if path.is_dir():
            self._problems += _other_files(path, list(files))
        leading = sorted(
            tables, key=lambda table: _is_aside(table.part)
        )  # the order of classes is that of the training split
        counts = [_count_labels(table, self._label, max_unpacked) for table in leading]
        _refuse_measures(self._label, counts)
        named = [class_label_names(schemas[table.path], self._label) for table in leading]
        self.class_names, indices = join_classes(named, counts)
        index_of = dict(zip((table.path for table in leading), indices, strict=True))
        self._tables = [replace(table, index=index_of[table.path]) for table in tables]
        self._counts = dict(zip((table.path for table in leading), map(_in_classes, counts, indices), strict=True))
        _refuse_unlabelled_test(self._tables, self._counts, self._label)

    @property
    def layout(self) -> Layout:
        """Return how the files were understood."""
        uses = {table.part.name: table.part.use for table in self._tables}
        images: Counter[str] = Counter()
        by_part: dict[str, Counter[int]] = {name: Counter() for name in uses}
        for table in self._tables:
            images[table.part.name] += table.num_rows
            by_part[table.part.name] += self._counts[table.path]
        return Layout(
            kind="Parquet files that hold the images",
            labels_from=f"column {self._label!r}; images from column {self._image!r}",
            parts=[LayoutPart(name=name, use=use, images=images[name]) for name, use in uses.items()],
            classes=merge_counts([printable(name) for name in self.class_names], by_part),
            **self._grouping.counted(self._group_cells()),
            captions=f"column {self._caption!r}; caption.from_source=true uses them" if self._caption else "",
            left_out=[LeftOut(what=record.file, count=1, why=REASONS[record.reason]) for record in self._problems],
            notes=[note] if (note := alike(self.class_names)) else [],
        )

    def _group_cells(self) -> Iterator[Any]:
        for table in self._tables:
            yield from _count_labels(table, self._grouping.column, self._max_unpacked)

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
        unpacking = Unpacking(table.path, self._max_unpacked)
        with open_parquet(table.path) as file:
            row = 0
            for group in range(file.num_row_groups):
                end = row + file.metadata.row_group(group).num_rows
                if end > start:
                    columns = self._needed(file, group)
                    batches = unpacking.batches(file, columns, most_rows=READ_BATCH, row_groups=[group])
                    yield from self._group(table, batches, range(row, end), start)
                row = end

    def _needed(self, file: pq.ParquetFile, group: int) -> list[str]:
        """Return the columns to read of a row group; only the bytes if all images have them: no path is opened."""
        there = [name for name in self._columns if name in file.schema_arrow.names]  # captions may be missing
        chunks = file.metadata.row_group(group)
        leaves = [chunks.column(number) for number in range(chunks.num_columns)]
        full = {leaf.path_in_schema for leaf in leaves if leaf.statistics is not None and leaf.statistics.null_count == 0}
        data = f"{self._image}.bytes"
        return [data if name == self._image and data in full else name for name in there]

    def _group(self, table: _Table, batches: Iterable[pa.RecordBatch], rows: range, start: int) -> Iterator[SourceRecord]:
        row = rows.start
        try:
            for batch in batches:
                images, labels = batch.column(self._image), batch.column(self._label).to_pylist()
                groups, texts = (_cells(batch, name) for name in (self._grouping.column, self._caption))
                for offset, label in enumerate(labels):
                    if row >= start:
                        name = f"{table.file}#{row}"
                        record = row_record(name, table.part.use, images[offset].as_py(), label, table.index)
                        yield self._grouping.assign(replace(record, caption=texts[offset]), groups[offset])
                    row += 1
        except (pa.ArrowException, OSError) as error:
            for lost in range(max(row, start), rows.stop):
                yield SourceRecord(
                    file=f"{table.file}#{lost}", origin=table.part.use, reason="corrupt_table", detail=_one_line(error)
                )


def _cells(batch: pa.RecordBatch, column: str) -> list[Any]:
    return batch.column(column).to_pylist() if column in batch.schema.names else [None] * batch.num_rows


def row_record(file: str, origin: str, image: Any, label: Any, index: Mapping[Any, int]) -> SourceRecord:
    """Return the record of a row.

    Args:
        file: name of the row in rejected.csv.
        origin: `train` or `test`.
        image: `{"bytes", "path"}`, bytes or None.
        label: the cell; None if it is empty.
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


def _other_files(folder: Path, files: list[Path]) -> list[SourceRecord]:
    others = {path for path in folder.rglob("*") if path.is_file()} - set(files)
    names = sorted(path.relative_to(folder).as_posix() for path in others)
    return [SourceRecord(file=name, reason="other_file") for name in names]


def holds_pictures(path: Path) -> bool:
    """Return whether a Parquet file has a column of images, or is unreadable."""
    schema = _read_schema(path)
    return schema is None or bool({"image", "binary"} & set(_kinds(schema).values()))


def _read_schema(path: Path) -> pa.Schema | None:
    try:
        with open_parquet(path) as file:
            return file.schema_arrow
    except (pa.ArrowException, OSError):
        return None


def _num_rows(path: Path) -> int:
    with open_parquet(path) as file:
        return int(file.metadata.num_rows)


def _refuse_measures(label: str, counts: Sequence[Counter[Any]]) -> None:
    try:
        refuse_unclassed(label, sum(counts, Counter()))
    except NoClassError as error:
        raise UserError(str(error)) from None


def _is_aside(part: Part) -> bool:
    """Return whether a file belongs to a split other than the training split."""
    return part.use == TEST or split_of(part.name) not in (None, "train")


def _in_classes(counts: Mapping[Any, int], index: Mapping[Any, int]) -> Counter[int]:
    return Counter({index[value]: number for value, number in counts.items() if value in index})


def _sort_files(
    root: Path,
    files: Mapping[Path, Part],
    schemas: Mapping[Path, pa.Schema],
    first: pa.Schema,
    columns: Sequence[str],
) -> tuple[list[_Table], list[SourceRecord]]:
    """Return the tables that have the columns with the types of `first`, and a record for each other file.

    Raises:
        UserError: all files of the test split lack the labels.
    """
    tables, problems = [], []
    types = [_type_kind(first, column) for column in columns]
    for path, part in files.items():
        name = path.relative_to(root).as_posix()
        if path not in schemas:
            problems.append(SourceRecord(file=name, reason="corrupt_table", detail="no readable footer"))
        elif not _fits(schemas[path], columns, types):
            problems.append(
                SourceRecord(
                    file=name,
                    reason="corrupt_table",
                    detail=f"columns {', '.join(schemas[path].names)}; needs {', '.join(columns)}",
                )
            )
        else:
            tables.append(_Table(path, name, part, _num_rows(path)))
    _refuse_lost_split(files, {table.path for table in tables}, schemas, columns)
    # if there are only test rows, they are the data set, not a test split
    if tables and all(table.part.use == TEST for table in tables):
        tables = [replace(table, part=Part(table.part.name, TRAIN)) for table in tables]
    return tables, problems


def _fits(schema: pa.Schema, columns: Sequence[str], types: list[str]) -> bool:
    return all(
        column in schema.names and _type_kind(schema, column) == kind for column, kind in zip(columns, types, strict=True)
    )


def _type_kind(schema: pa.Schema, column: str) -> str:
    """Return the Arrow type of a column; integers of all widths are alike, and so is text, plain or in a dictionary."""
    arrow_type = schema.field(column).type
    arrow_type = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    if class_label_names(schema, column) or _is_text(arrow_type):
        return "names"
    return "number" if pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type) else str(arrow_type)


def _refuse_lost_split(
    files: Mapping[Path, Part], kept: set[Path], schemas: Mapping[Path, pa.Schema], columns: Sequence[str]
) -> None:
    """Raise if the test split lost all files because they lack a column: another one would be sampled without request."""
    tests = [path for path, part in files.items() if part.use == TEST and path in schemas]
    if tests and not kept & set(tests) and any(path in kept for path in files):
        raise UserError(
            f"the split {files[tests[0]].name!r} has no labels that fit: {tests[0].name} has the columns "
            f"{', '.join(schemas[tests[0]].names)}; the training split has its labels in {columns[1]!r} and its images in "
            f"{columns[0]!r}. Write the column; or set prepare.test_split= (empty): then that file is left out and a test "
            "split is sampled."
        )


def _refuse_unlabelled_test(tables: Sequence[_Table], counts: Mapping[Path, Counter[int]], label: str) -> None:
    """Raise if no row of the test split has a class, as where hidden labels are -1: another one would be sampled."""
    tests = [table for table in tables if table.part.use == TEST and table.num_rows]
    if tests and not any(counts[table.path] for table in tests):
        raise UserError(
            f"the split {tests[0].part.name!r} has no labels: no row of {tests[0].file} has a class in its column "
            f"{label!r}. Write the labels; or set prepare.test_split= (empty): then its rows are left out and a test split "
            "is sampled."
        )


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return the Hugging Face features in the schema's metadata; {} if there are none or they are unusable."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def class_label_names(schema: pa.Schema, label: str) -> list[str]:
    """Return the names that the schema's metadata gives the values of the column `label`; [] if it gives none."""
    feature = _features(schema).get(label)
    names = feature.get("names") if isinstance(feature, dict) and pa.types.is_integer(schema.field(label).type) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _kinds(schema: pa.Schema) -> dict[str, str]:
    features = _features(schema)
    return {field.name: _kind(field.type, features.get(field.name)) for field in schema}


def _kind(arrow_type: pa.DataType, feature: Any) -> str:
    if pa.types.is_dictionary(arrow_type):  # pandas' categories
        arrow_type = arrow_type.value_type
    declared = feature.get("_type") if isinstance(feature, dict) else None
    if pa.types.is_struct(arrow_type) and (declared == "Image" or arrow_type.get_field_index("bytes") >= 0):
        return "image"
    if pa.types.is_integer(arrow_type):
        return "class label" if declared == "ClassLabel" else "integer"
    if pa.types.is_floating(arrow_type):
        return "floating point"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if _is_text(arrow_type):
        return "text"
    return "binary" if pa.types.is_binary(arrow_type) or pa.types.is_large_binary(arrow_type) else str(arrow_type)


def _is_text(arrow_type: pa.DataType) -> bool:
    return pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type)


def _count_labels(table: _Table, label: str, max_unpacked: int) -> Counter[Any]:
    """Return value of the label column -> number of rows; empty cells are not counted."""
    counts: Counter[Any] = Counter()
    with open_parquet(table.path) as file:
        try:
            for batch in Unpacking(table.path, max_unpacked).batches(file, [label], most_rows=COUNT_BATCH):
                found = batch.column(0).value_counts()
                for value, number in zip(*(found.field(name).to_pylist() for name in ("values", "counts")), strict=True):
                    if value is not None and value == value:  # a NaN differs from itself
                        counts[value] += number
        except (pa.ArrowException, OSError):
            pass  # its rows are refused one by one when they are read
    return counts


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
