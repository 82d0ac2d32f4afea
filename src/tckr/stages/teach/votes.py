"""Private votes of Teachers on disjoint parts of the private set (PATE, Papernot et al. 2018): parts, histograms, noise.

The proof of the guarantee (docs/guarantee.md) needs that one unit changes the vote of one Teacher at most. So the part of a
unit, and the order inside a part, are functions of a secret key and of the unit's own images; neither depends on the other
units, on the numbers of records, or on the order of the set.

Shapes: T Teachers, N images that are voted on, K classes.
"""

from __future__ import annotations

import hashlib

import numpy as np

from tckr.data.images import ImageSet
from tckr.data.seeds import derive_seed

FEWEST_IMAGES = 2
"""Minimum number of images of a part; the Teacher of a smaller part does not vote. Batch normalization needs two."""

NO_VOTE = -1


def divide(images: ImageSet, rows: np.ndarray, units: np.ndarray, *, num_parts: int, seed: int) -> list[np.ndarray]:
    """Return the rows of each of `num_parts` disjoint parts, int64, in an order that depends on their own images alone.

    Args:
        images: contains the images.
        rows: int64 [M], positions of the images to divide.
        units: int64 [M], the unit of each; all images of a unit are in one part.
        num_parts: number of parts; some may be empty.
        seed: secret key of the division.
    """
    of_unit: dict[int, list[tuple[bytes, int]]] = {}
    for row, unit in zip(rows.tolist(), units.tolist(), strict=True):
        of_unit.setdefault(unit, []).append((_digest(images, row), row))
    parts: list[list[tuple[bytes, int]]] = [[] for _ in range(num_parts)]
    for own in of_unit.values():
        identity = hashlib.sha256(b"".join(sorted(digest for digest, _ in own))).hexdigest()
        parts[derive_seed(seed, "part", identity) % num_parts] += own
    return [np.array([row for _, row in sorted(part)], dtype=np.int64) for part in parts]


def _digest(images: ImageSet, row: int) -> bytes:
    """Return the identity of an image: the digest of its label and pixels."""
    return hashlib.sha256(int(images.labels[row]).to_bytes(8) + np.ascontiguousarray(images.images[row]).tobytes()).digest()


def histograms(votes_TN: np.ndarray, num_classes: int) -> np.ndarray:
    """Return int64 [N, K], the number of votes for each class; `votes_TN` has the class that each Teacher voted for."""
    return (votes_TN[..., None] == np.arange(num_classes)).sum(axis=0)


def noisy_choices(histograms_NK: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Return int64 [N], the class with the most votes after Gaussian noise of standard deviation `noise` on each number."""
    drawn = np.random.default_rng(seed).normal(0.0, noise, histograms_NK.shape)
    return np.asarray((histograms_NK + drawn).argmax(axis=1))
