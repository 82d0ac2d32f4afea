"""Find pictures that look alike by difference hashes of their rows and columns. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

BANDS = 4
MOST_DIFFERENT = BANDS - 1
"""Bits in which each half of the hashes of two alike pictures may differ: then one of its bands is equal in both."""

LARGEST_BAND = 500
"""Pictures with an equal band that are compared with one another; more of them are flat or a fixed background."""

FEWEST_BITS = 8
"""Of half a hash that says something: a flat picture has 0."""

SMALLEST_SIDE = 16
"""Of a picture whose hash tells it from others, in px."""


def difference_hash(pixels: np.ndarray) -> int:
    """Return 128 bits of uint8 [S, S, 3]: whether each of 8 x 8 places is brighter than the next to its left, then than the
    one above it (dHash, of rows and of columns)."""
    grey = Image.fromarray(pixels).convert("L")
    rows, columns = (np.asarray(grey.resize(size, Image.Resampling.BOX), dtype=np.int16) for size in ((9, 8), (8, 9)))
    bits = np.stack([rows[:, 1:] > rows[:, :-1], columns[1:] > columns[:-1]])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_of(pixels: np.ndarray, size: tuple[int, int]) -> int:
    """Return the hash of a picture from a source of this (width, height); 0, which is alike to none, where that is small."""
    return difference_hash(pixels) if min(size) >= SMALLEST_SIDE else 0


def halves_of(value: int) -> tuple[int, int]:
    """Return the bits of the rows and of the columns of a hash."""
    return value >> 64, value & (2**64 - 1)


def find_alike(halves: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return int64 [pairs, 2]: all pairs of pictures whose hashes differ in MOST_DIFFERENT bits of each half at most.

    Flat pictures are left out, and so are bands that over LARGEST_BAND share. Takes about as long as sorting.

    Args:
        halves: of the hash of each picture, one after the other (`halves_of`).
    """
    halves = np.array(halves, dtype=np.uint64).reshape(-1, 2)
    bits = np.bitwise_count(halves)
    usable = np.flatnonzero(((bits >= FEWEST_BITS) & (bits <= 64 - FEWEST_BITS)).all(axis=1))
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        keys = (halves[usable, 0] >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = usable[np.argsort(keys, kind="stable")]
        starts = np.concatenate([[0], np.flatnonzero(np.diff(np.sort(keys))) + 1])
        sizes = np.diff(np.append(starts, len(order)))
        for group in np.flatnonzero((sizes > 1) & (sizes <= LARGEST_BAND)):
            pairs |= _close(halves, order[starts[group] : starts[group] + sizes[group]])
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _close(halves: np.ndarray, group: np.ndarray) -> set[tuple[int, int]]:
    distances = np.bitwise_count(halves[group][:, None] ^ halves[group][None, :]).max(axis=2)
    rows, columns = np.nonzero(np.triu(distances <= MOST_DIFFERENT, 1))
    return {tuple(sorted((int(group[row]), int(group[column])))) for row, column in zip(rows, columns, strict=True)}  # type: ignore[misc]
