"""Find pictures that look alike, by difference hashes of their rows and columns. No input or output."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

BANDS = 4
MOST_DIFFERENT = BANDS - 1
"""Maximum number of different bits in each half of the hashes of two alike pictures; at least one band is then equal."""

LARGEST_BAND = 500
"""Maximum number of pictures with an equal band that are compared; more have a flat or fixed background in common."""

PARTS = 16
"""Number of parts in which pictures are compared one after another, to limit memory."""

FEWEST_BITS = 8
"""Minimum number of set bits of an informative half; a flat picture has 0."""

SMALLEST_SIDE = 16
"""Minimum size, in px, of a picture whose hash is distinctive."""


def difference_hash(pixels: np.ndarray) -> int:
    """Return the dHash of uint8 [S, S, 3], 128 bits: whether each of 8 x 8 cells is brighter than its left
    neighbour, and whether it is brighter than its upper neighbour."""
    grey = Image.fromarray(pixels).convert("L")
    rows, columns = (np.asarray(grey.resize(size, Image.Resampling.BOX), dtype=np.int16) for size in ((9, 8), (8, 9)))
    bits = np.stack([rows[:, 1:] > rows[:, :-1], columns[1:] > columns[:-1]])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_of(pixels: np.ndarray, size: tuple[int, int]) -> int:
    """Return the hash of a picture whose file has this (width, height); 0, which matches no hash, if it is too small."""
    return difference_hash(pixels) if min(size) >= SMALLEST_SIDE else 0


def halves_of(value: int) -> tuple[int, int]:
    """Return the bits of a hash for the rows and for the columns."""
    return value >> 64, value & (2**64 - 1)


def find_alike(halves: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return int64 [pairs, 2]: all pairs of pictures whose hashes differ in MOST_DIFFERENT bits of each half at most.

    Flat pictures and bands that more than LARGEST_BAND pictures share are left out. It takes about as long as sorting, and
    needs, in addition to `halves`, about 10 bytes for each picture and 20 for each pair.

    Args:
        halves: the two halves (`halves_of`) of the hash of each picture, one after another, or uint64 [N, 2].
    """
    hashes = np.asarray(halves, dtype=np.uint64).reshape(-1, 2)
    bits = np.bitwise_count(hashes)
    usable = ((bits >= FEWEST_BITS) & (bits <= 64 - FEWEST_BITS)).all(axis=1)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for band, part in itertools.product(range(BANDS), range(PARTS)):
        keys = hashes.view(np.uint16)[:, band]
        members = np.flatnonzero(usable & (keys % PARTS == part))
        members = members[np.argsort(keys[members], kind="stable")]
        pairs += _close(hashes, members, _ends(keys[members]))
    return np.unique(np.concatenate(pairs), axis=0)


def _ends(keys: np.ndarray) -> np.ndarray:
    """Return for each of the sorted `keys` where those equal to it end; 0 if more than LARGEST_BAND are equal."""
    starts = np.flatnonzero(np.diff(keys, prepend=np.int32(-1)))
    sizes = np.diff(starts, append=len(keys))
    return np.repeat(np.where(sizes <= LARGEST_BAND, starts + sizes, 0), sizes)


def _close(hashes: np.ndarray, members: np.ndarray, ends: np.ndarray) -> Iterator[np.ndarray]:
    """Yield int64 [pairs, 2]: pairs of `members` with an equal band that differ in few bits; the smaller number is first.

    Args:
        hashes: uint64 [N, 2].
        members: numbers of pictures, sorted by a band, and within equal bands by number.
        ends: for each position in `members`, the position where pictures with an equal band end.
    """
    step, places = 1, np.arange(len(members))
    while len(places := places[places + step < ends[places]]):
        one, other = members[places], members[places + step]
        near = (np.bitwise_count(hashes[one] ^ hashes[other]) <= MOST_DIFFERENT).all(axis=1)
        yield np.stack([one[near], other[near]], axis=1)
        step += 1
