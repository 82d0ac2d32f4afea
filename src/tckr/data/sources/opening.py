"""Open the source that a setting names."""

from __future__ import annotations

from pathlib import Path

from tckr.data.sources.kinds import SourceKind, source_kind
from tckr.data.sources.record import Source


def open_source(
    source: str,
    *,
    image_column: str = "",
    label_column: str = "",
    train_split: str = "train",
    test_split: str = "test",
    max_file_bytes: int = 512 * 2**20,
    cache: Path,
) -> Source:
    """Return the source that `source` names.

    Args:
        source: see `tckr.data.sources.kinds.source_kind`.
        image_column: column of the images in a table; empty = detect.
        label_column: column of the labels in a table; empty = detect.
        train_split: split of a Hugging Face data set that becomes pool, validation and (without test split) test.
        test_split: split that becomes the locked test split where the source has it; empty = never.
        max_file_bytes: larger files are refused unread.
        cache: folder for what `datasets` copies of a folder it loads; what comes from the hub goes to its own cache.

    Raises:
        UserError: it does not exist, or has no such column or split.
    """
    kind = source_kind(source)
    path = Path(source).expanduser()
    if kind is SourceKind.DIGITS:
        from tckr.data.sources.digits import DigitsSource

        return DigitsSource()
    if kind is SourceKind.FOLDER:
        from tckr.data.sources.folder import FolderSource

        return FolderSource(path, test_split=test_split, max_file_bytes=max_file_bytes)
    if kind is SourceKind.PARQUET:
        from tckr.data.sources.parquet import ParquetSource

        return ParquetSource(path, image_column=image_column, label_column=label_column, test_split=test_split)
    from tckr.data.sources.hub import HubSource

    return HubSource(
        source,
        saved=kind is SourceKind.DISK,
        image_column=image_column,
        label_column=label_column,
        train_split=train_split,
        test_split=test_split,
        max_file_bytes=max_file_bytes,
        cache=cache,
    )
