"""Types for the ways in which a folder can be understood, as `tckr.data.layouts.deciding` returns them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tckr.data.groups import Grouping
from tckr.data.layouts.description import LeftOut
from tckr.data.stored import StoredList


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """The user's settings about the source; see the settings of `prepare`."""

    source: str
    layout: str = "auto"
    table: str = ""
    image_column: str = ""
    label_column: str = ""
    test_split: str = "test"
    follow_links: bool = False
    grouping: Grouping = field(default_factory=Grouping)


class Part(NamedTuple):
    """A split: what the source calls it, and what it is used as (`train` or `test`)."""

    name: str
    use: str


@dataclass(frozen=True, kw_only=True)
class FolderReading:
    """Class folders, at the top or in folders of splits.

    Attributes:
        parts: folder that holds class folders -> its split.
        classes: class folder -> number of pictures in it, over all splits.
        problems: reasons why this reading is impossible.
        masks: pictures that are masks of others.
        left_out: folders that are not read.
        captions: where texts about the pictures are.
        notes: other decisions of the reader.
        groups: picture -> cell of the group column, if the user named one.
        texts: picture -> text about it in a table.
    """

    parts: Mapping[str, Part]
    classes: Mapping[str, int]
    problems: Sequence[str] = ()
    masks: Collection[str] = frozenset()
    left_out: Sequence[LeftOut] = ()
    captions: str = ""
    notes: Sequence[str] = ()
    groups: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


class Row(NamedTuple):
    """A row of a table: its name in rejected.csv, the picture (None if it is not there), its split and its label."""

    name: str
    file: str | None
    part: Part
    label: str | int | None
    detail: str = ""

    @classmethod
    def read(cls, fields: list[Any]) -> Row:
        """Return the row that was stored as the JSON list `fields`."""
        name, file, part, label, detail = fields
        return cls(name, file, Part(*part), label, detail)


@dataclass(frozen=True, kw_only=True)
class TableReading:
    """Tables that name pictures and their labels.

    Attributes:
        tables: the tables that are read.
        path_column, label_column: column of paths or names of pictures, and column of labels.
        rows: all rows, in the order of the tables.
        unlisted: pictures without a row.
        usual: whether the user named the label column or it has a usual name.
        group_column, captions, notes, left_out: as in the description.
        groups: picture -> cell of the group column, if the user named one.
        texts: picture -> text about it in a table.
    """

    tables: Sequence[str]
    path_column: str
    label_column: str
    rows: StoredList[Row]
    unlisted: StoredList[str]
    usual: bool
    group_column: str = ""
    captions: str = ""
    notes: Sequence[str] = ()
    left_out: Sequence[LeftOut] = ()
    groups: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EncodedReading:
    """Parquet files that contain the pictures, each with its split."""

    files: Mapping[Path, Part]


@dataclass(frozen=True)
class LoaderReading:
    """A source for `datasets`: `saved` by its `save_to_disk`, or TAR and Arrow files."""

    saved: bool


Reading = FolderReading | TableReading | EncodedReading | LoaderReading
