"""Open the source named in a setting, with the layout found by `tckr.data.layouts`."""

from __future__ import annotations

from pathlib import Path

from tckr.data.groups import Grouping
from tckr.data.layouts.deciding import decide, part_of
from tckr.data.layouts.readings import EncodedReading, FolderReading, LoaderReading, Part, Reading, TableReading, Wishes
from tckr.data.sources.kinds import SourceKind, source_kind
from tckr.data.sources.record import TRAIN, Source
from tckr.data.unpacking import MOST_UNPACKED


def open_source(
    source: str,
    *,
    image_column: str = "",
    label_column: str = "",
    train_split: str = "train",
    test_split: str = "test",
    layout: str = "auto",
    table: str = "",
    follow_links: bool = False,
    group_column: str = "",
    group_pattern: str = "",
    max_file_bytes: int = 512 * 2**20,
    max_unpacked: int = MOST_UNPACKED,
    cache: Path,
) -> Source:
    """Return the source named `source`.

    Args:
        source: see `tckr.data.sources.kinds.source_kind`.
        image_column: column of the images in a table; empty = detect.
        label_column: column of the labels in a table; empty = detect.
        train_split: split of a Hugging Face data set that becomes pool, validation and (without test split) test.
        test_split: split that becomes the locked test split, if the source has it; empty = never.
        layout: `auto`, or the reading to use if several are possible: `class_folders`, `split_folders`, `table`.
        table: the table to read, relative to the source; empty = detect.
        follow_links: read the targets of links, also outside of the source.
        group_column: column with the group of each image; empty = none.
        group_pattern: regular expression that finds the group in the column, or without one in the path.
        max_file_bytes: larger files are rejected without reading.
        max_unpacked: maximum ratio of unpacked size to size on disk for a Parquet file of images.
        cache: folder for copies that `datasets` makes of local folders; downloads from the hub use its own cache.

    Raises:
        UserError: it does not exist, lacks the column or split, or can be read in several ways or in none.
    """
    grouping = Grouping(group_column, group_pattern)
    if source_kind(source) is SourceKind.DIGITS:
        from tckr.data.sources.digits import DigitsSource

        return DigitsSource(grouping)
    wishes = Wishes(
        source=source,
        layout=layout,
        table=table,
        image_column=image_column,
        label_column=label_column,
        test_split=test_split,
        follow_links=follow_links,
        grouping=grouping,
    )
    path = Path(source).expanduser()
    reading = _reading(path, wishes) if path.exists() else LoaderReading(saved=False)
    if isinstance(reading, LoaderReading):
        return _load(reading, wishes, train_split, max_file_bytes, cache)
    return _open_files(path, reading, wishes, max_file_bytes=max_file_bytes, max_unpacked=max_unpacked)


def _load(reading: LoaderReading, wishes: Wishes, train_split: str, max_file_bytes: int, cache: Path) -> Source:
    from tckr.data.sources.hub import HubSource

    return HubSource(
        wishes.source,
        saved=reading.saved,
        image_column=wishes.image_column,
        label_column=wishes.label_column,
        train_split=train_split,
        test_split=wishes.test_split,
        max_file_bytes=max_file_bytes,
        cache=cache,
        grouping=wishes.grouping,
    )


def _open_files(
    path: Path,
    reading: FolderReading | TableReading | EncodedReading,
    wishes: Wishes,
    *,
    max_file_bytes: int,
    max_unpacked: int,
) -> Source:
    if isinstance(reading, FolderReading):
        from tckr.data.sources.folder import FolderSource

        return FolderSource(path, reading, max_file_bytes=max_file_bytes, wishes=wishes)
    if isinstance(reading, TableReading):
        from tckr.data.sources.listed import ListedSource

        return ListedSource(path, reading, max_file_bytes=max_file_bytes, grouping=wishes.grouping)
    from tckr.data.sources.parquet import ParquetSource

    columns = {"image_column": wishes.image_column, "label_column": wishes.label_column}
    return ParquetSource(path, reading.files, **columns, grouping=wishes.grouping, max_unpacked=max_unpacked)


def _reading(path: Path, wishes: Wishes) -> Reading:
    if path.is_file():
        return EncodedReading(files={path: part_of(path.stem, wishes.test_split) or Part(TRAIN, TRAIN)})
    return decide(path, wishes)
