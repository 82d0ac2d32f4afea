"""Read pictures that a table names, with the labels of their rows; rows first, then pictures that no table names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tckr.data.groups import Grouping
from tckr.data.layouts.columns import alike, label_order
from tckr.data.layouts.description import Layout, LayoutPart, LeftOut, count_classes
from tckr.data.layouts.readings import Row, TableReading
from tckr.data.sources.files import read_file
from tckr.data.sources.record import SourceRecord, printable

UNLISTED = "pictures that no table names"


class ListedSource:
    """The rows of one or more tables, in the order of the tables."""

    def __init__(self, root: Path, reading: TableReading, *, max_file_bytes: int, grouping: Grouping) -> None:
        """Use the rows of `reading`; no picture is opened yet."""
        self._grouping = grouping
        self.name = root.resolve().name
        self._root, self._reading, self._max_file_bytes = root, reading, max_file_bytes
        values = label_order(row.label for row in reading.rows)
        self._label = {value: label for label, value in enumerate(values)}
        self.class_names = [str(value) for value in values]

    @property
    def layout(self) -> Layout:
        """Return how the tables were understood."""
        reading = self._reading
        uses = {row.part.name: row.part.use for row in reading.rows}
        images = Counter(row.part.name for row in self._found())
        labelled = ((row.part.name, -1 if row.label is None else self._label[row.label]) for row in self._found())
        unlisted = (
            [LeftOut(what=UNLISTED, count=len(reading.unlisted), why="they have no label")] if reading.unlisted else []
        )
        lost = len(reading.rows) - images.total()
        missing = (
            [LeftOut(what="rows without a picture", count=lost, why="no file, or several, of that name")] if lost else []
        )
        return Layout(
            kind="images with a table of labels" + (" in splits" if len(uses) > 1 else ""),
            labels_from=f"column {reading.label_column!r} of {', '.join(reading.tables[:4])}; pictures from column "
            f"{reading.path_column!r}",
            parts=[LayoutPart(name=name, use=use, images=images[name]) for name, use in uses.items()],
            classes=count_classes(self.class_names, labelled),
            **self._grouping.counted(self._group_value(row.file) for row in self._found() if row.label is not None),
            group_column=reading.group_column,
            captions=reading.captions,
            left_out=[*unlisted, *missing, *reading.left_out],
            notes=[*reading.notes, *([note] if (note := alike(self.class_names)) else [])],
        )

    def _found(self) -> Iterator[Row]:
        """Yield the rows whose picture exists."""
        return (row for row in self._reading.rows if row.file is not None)

    def __len__(self) -> int:
        """Return the number of rows and of pictures without one."""
        return len(self._reading.rows) + len(self._reading.unlisted)

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield one record per row, then one per picture that no row names."""
        rows, unlisted = self._reading.rows, self._reading.unlisted
        yield from map(self._record, rows.since(start))
        for file in unlisted.since(max(0, start - len(rows))):
            yield SourceRecord(file=printable(file), reason="not_in_table")

    def _group_value(self, file: str | None) -> Any:
        return self._reading.groups.get(file or "") if self._grouping.column else file

    def _record(self, row: Row) -> SourceRecord:
        name, origin = printable(row.name), row.part.use
        if row.label is None:
            return SourceRecord(file=name, origin=origin, reason="no_label")
        label = self._label[row.label]
        if row.file is None:
            return SourceRecord(file=name, origin=origin, label=label, reason="no_image", detail=f"no one file {row.detail}")
        data, reason, detail = read_file(f"{self._root}/{row.file}", self._max_file_bytes)
        caption = self._reading.texts.get(row.file)
        record = SourceRecord(
            file=name, origin=origin, label=label, data=data, reason=reason, detail=detail, caption=caption
        )
        return self._grouping.assign(record, self._group_value(row.file))
