"""Read Parquet files in bounded memory; small files that unpack to gigabytes (decompression bombs) are refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tckr.data.parquet_pages import unpacked_bytes
from tckr.errors import UserError, shown

if TYPE_CHECKING:  # settings are read without pyarrow
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_UNPACKED = 100
"""Limit, in multiples of the size on disk. Compressed pictures hardly shrink again; text shrinks 3 to 20 times."""

HARMLESS_BYTES = 128 * 2**20
"""Size to which every file may unpack, and bytes of a file that are unpacked at once."""

BUFFER_BYTES = 2**16
"""Bytes of a column that are read at a time; otherwise pyarrow reads the complete column of several row groups."""

ROW_BYTES = 256
"""Minimum number of bytes that a row counts for: each row becomes a record in memory, however small."""


class Unpacking:
    """Read one file in batches and count the unpacked bytes: one stored value may be used in millions of rows."""

    def __init__(self, path: Path, most_unpacked: int = MOST_UNPACKED) -> None:
        self._path = path
        self._most_unpacked = most_unpacked
        self._limit = max(HARMLESS_BYTES, most_unpacked * path.stat().st_size)
        self._unpacked = 0
        self._stated: dict[tuple[str, ...], list[int]] = {}

    def batches(
        self, file: pq.ParquetFile, columns: Sequence[str], *, most_rows: int, row_groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the columns of the opened file in batches of at most `most_rows`, fewer if values may be large.

        Raises:
            UserError: the file is a decompression bomb.
        """
        stated = self._stated_bytes(file.metadata, tuple(columns))
        self._refuse_over(max(sum(stated), ROW_BYTES * file.metadata.num_rows))
        groups = range(file.num_row_groups) if row_groups is None else row_groups
        # each value may be as large as everything that is stored
        rows = HARMLESS_BYTES // max([1, *(stated[group] for group in groups)])
        size = max(1, min(most_rows, rows))
        # threads of pyarrow would take memory of their own
        for batch in file.iter_batches(size, row_groups=groups, columns=list(columns), use_threads=False):
            batch = _decoded(batch)
            self._unpacked += batch.nbytes
            self._refuse_over(self._unpacked)
            yield batch

    def _stated_bytes(self, metadata: pq.FileMetaData, columns: tuple[str, ...]) -> list[int]:
        """Return, for each row group, the unpacked bytes of the columns by the pages; a stored value counts once."""
        if columns not in self._stated:
            with self._path.open("rb") as file:
                groups = map(metadata.row_group, range(metadata.num_row_groups))
                self._stated[columns] = [
                    sum(_chunk_bytes(file, chunk) for chunk in _chunks(group, columns)) for group in groups
                ]
        return self._stated[columns]

    def _refuse_over(self, num_bytes: int) -> None:
        if num_bytes > self._limit:
            raise UserError(
                f"{shown(self._path)} has {self._path.stat().st_size:,} bytes and unpacks to {num_bytes:,} or more, over "
                f"{self._most_unpacked} times as many: a decompression bomb, or one value repeated. Expected a table of "
                "different pictures or texts; write it again without the repetitions. The limit for pictures is "
                "prepare.max_unpacked"
            )


def open_parquet(path: Path) -> pq.ParquetFile:
    """Return a file that is read part by part, however large its row groups are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_memory_pool(pa.system_memory_pool())  # it returns freed memory to the system; Arrow's own pool keeps it
    return pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)


def read_columns(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the columns (all by default) of a table that fits into memory.

    Raises:
        UserError: the file is a decompression bomb.
    """
    import pyarrow as pa

    with open_parquet(path) as file:
        names = list(file.schema_arrow.names if columns is None else columns)
        batches = list(Unpacking(path).batches(file, names, most_rows=2**16))
        return pa.Table.from_batches(batches) if batches else file.read(names)


def _chunks(group: pq.RowGroupMetaData, columns: Sequence[str]) -> Iterator[pq.ColumnChunkMetaData]:
    """Yield the footer's entries on the columns of a row group."""
    for chunk in map(group.column, range(group.num_columns)):
        path = chunk.path_in_schema
        if any(path == column or path.startswith(f"{column}.") for column in columns):
            yield chunk


def _chunk_bytes(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> int:
    """Return the unpacked bytes of a column: the footer's number, or that of the pages if it is larger."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    return max(chunk.total_uncompressed_size, unpacked_bytes(file, start, chunk.total_compressed_size))


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with values in place of references to them, so that categories and repeated texts are expanded."""
    import pyarrow as pa

    columns = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
