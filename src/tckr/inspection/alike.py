"""Find pictures that look alike by their difference hashes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BANDS = 4
MOST_DIFFERENT = BANDS - 1
"""Bits in which the hashes of two alike pictures may differ: then they are equal in at least one of the bands."""

LARGEST_GROUP = 500
"""Pictures with an equal band that are compared with one another; more of them are flat or a fixed background."""

FEWEST_BITS = 8
"""Of a hash that says something: a flat picture has 0."""


def find_alike(hashes: Sequence[int]) -> np.ndarray:
    """Return int64 [pairs, 2]: all pairs of pictures whose 64-bit hashes differ in MOST_DIFFERENT bits at most.

    Flat pictures are left out, and so are groups over LARGEST_GROUP. Takes about as long as sorting.
    """
    values = np.array(hashes, dtype=np.uint64)
    bits = np.bitwise_count(values)
    usable = np.flatnonzero((bits >= FEWEST_BITS) & (bits <= 64 - FEWEST_BITS))
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        keys = (values[usable] >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = usable[np.argsort(keys, kind="stable")]
        keys = np.sort(keys)
        for group in np.split(order, np.flatnonzero(np.diff(keys)) + 1):
            if 1 < len(group) <= LARGEST_GROUP:
                pairs |= _close(values, group)
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _close(values: np.ndarray, group: np.ndarray) -> set[tuple[int, int]]:
    distances = np.bitwise_count(values[group][:, None] ^ values[group][None, :])
    rows, columns = np.nonzero(np.triu(distances <= MOST_DIFFERENT, 1))
    return {tuple(sorted((int(group[row]), int(group[column])))) for row, column in zip(rows, columns, strict=True)}  # type: ignore[misc]
