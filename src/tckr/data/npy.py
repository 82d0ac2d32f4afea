"""Write arrays larger than memory as .npy files, row by row.

Plain writes instead of a memory map: on a full disk a write raises an error, but touching a page of a map without disk space
ends the process (SIGBUS).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


class NpyFile:
    """A .npy file with a known number of rows that is being written.

    Args:
        path: file to write; an existing one is replaced.
        num_rows: total number of rows; type and shape are those of the first.
    """

    def __init__(self, path: Path, num_rows: int) -> None:
        self._file = path.open("wb")
        self._num_rows, self._num_written = num_rows, 0
        self._form: tuple[np.dtype, tuple[int, ...]] | None = None

    def append(self, rows: np.ndarray) -> None:
        """Append rows [B, ...]."""
        form = rows.dtype, rows.shape[1:]
        if self._form is None:
            self._write_header(*form)
        assert self._form == form, (self._form, form)
        self._file.write(np.ascontiguousarray(rows).data.cast("B") if rows.size else b"")
        self._num_written += len(rows)

    def close(self, failed: bool = False) -> None:
        """Close the file; check that all rows were written, unless writing failed."""
        self._file.close()
        assert failed or self._num_written == self._num_rows, (self._num_written, self._num_rows)

    def _write_header(self, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self._form = dtype, shape
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (self._num_rows, *shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


@contextmanager
def open_npy(path: Path, num_rows: int) -> Iterator[NpyFile]:
    """Yield a file to append `num_rows` rows to, and close it."""
    file, done = NpyFile(path, num_rows), False
    try:
        yield file
        done = True
    finally:
        file.close(failed=not done)


def write_npy(path: Path, num_rows: int, parts: Iterable[np.ndarray]) -> None:
    """Write `parts`, [B, ...] each and `num_rows` rows together, as one array."""
    with open_npy(path, num_rows) as file:
        for rows in parts:
            file.append(rows)
