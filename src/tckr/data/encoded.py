"""Images that stay encoded in one file and are decoded on access."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

Decode = Callable[[bytes], np.ndarray]


class EncodedImages:
    """N images of one size, used like a uint8 array [N, H, W, 3]; only accessed images are decoded.

    Args:
        path: file written by `write_encoded`.
        decode: converts an image's bytes to uint8 [H, W, 3].
        rows: int64 [N], indices of images in the file, in this order; None = all.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, path: Path, decode: Decode, rows: np.ndarray | None = None) -> None:
        self._path, self._decode = path, decode
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        count = int.from_bytes(self._bytes[-8:], "little")
        self._ends = np.frombuffer(self._bytes, dtype="<i8", count=count, offset=len(self._bytes) - 8 * (count + 1))
        self._rows = np.arange(count) if rows is None else rows

    def __len__(self) -> int:
        """Return N."""
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, H, W, 3)."""
        return (len(self), *self._read(0).shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return the images at an integer [H, W, 3], or at a slice or an array of integers [B, H, W, 3]."""
        rows = self._rows[index]
        if rows.ndim == 0:
            return self._read(int(rows))
        return np.stack([self._read(int(row)) for row in rows]) if len(rows) else np.empty((0, *self.shape[1:]), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all images; takes memory for the complete set."""
        return self[:] if dtype is None else self[:].astype(dtype)

    def take(self, rows: np.ndarray) -> EncodedImages:
        """Return the images at `rows`, still encoded."""
        return EncodedImages(self._path, self._decode, self._rows[rows])

    def _read(self, row: int) -> np.ndarray:
        start = int(self._ends[row - 1]) if row else 0
        return self._decode(self._bytes[start : int(self._ends[row])])


def write_encoded(path: Path, images: Iterable[bytes]) -> None:
    """Write images one after another, followed by their end positions (int64) and number; one image in memory."""
    ends, end = [], 0
    with path.open("wb") as file:
        for image in images:
            end += file.write(image)
            ends.append(end)
        file.write(b"\0" * (-end % 8))
        file.write(np.array([*ends, len(ends)], dtype="<i8").tobytes())
