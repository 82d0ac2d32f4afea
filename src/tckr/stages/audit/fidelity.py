"""Whose features are compared with whose. Knows images and features, neither paths nor models.

The reference are members: what the generator was to imitate. The yardstick are hold-out records of the pool, held against
the same members: real images that neither generator nor Teacher saw, so a generator that had learned the distribution, and
no record, would score like them. All sides have equally many images of every class: the private set may have unequal classes
where the synthetic set has equal ones, and shares of classes are no likeness. The Teacher saw the members and neither of the
two that are compared, so its features favour none. The test split is not needed, so not read. Better than hold-out is no
praise: copies of members score so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tckr.data.seeds import derive_seed
from tckr.metrics.fidelity import MIN_IMAGES, measure_fidelity
from tckr.metrics.results import FidelityResult

MAX_IMAGES = 5_000
"""Images of a side; more would sharpen nothing but the bias of FID, which is shared, and cost the square of their number."""

Encode = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(uint8 [M, H, W, 3], rows int64 [N]) -> features [N, D]."""

Side = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Images uint8 [M, H, W, 3], the rows int64 [N] of those that belong to the side, and their labels int64 [N]."""


def compare_with_members(
    encode: Encode, name: str, *, members: Side, synthetic: Side, holdout: Side, seed: int, confidence: float
) -> FidelityResult:
    """Return fidelity of the synthetic and of the hold-out images, equally many of each and of every class, drawn at random.

    Args:
        encode: gives the features of some rows.
        name: of the model behind `encode`.
        members: the reference.
        synthetic: what is judged.
        holdout: the yardstick; with too few of them it is not measurable, and does not limit the others.
        seed: of the draws.
        confidence: level of the intervals.
    """
    sides = {"members": members, "synthetic": synthetic, "holdout": holdout}
    enough = {side: rows_labels for side, (_, *rows_labels) in sides.items() if len(rows_labels[0]) >= MIN_IMAGES}
    counts_K = _counts_of_all([labels for _, labels in enough.values()])
    drawn = {
        side: _draw(rows, labels, counts_K, derive_seed(seed, "fidelity", side)) for side, (rows, labels) in enough.items()
    }
    features = {side: encode(sides[side][0], rows) for side, rows in drawn.items()}
    nothing = np.empty((0, 1))
    scores = {
        side: measure_fidelity(features.get("members", nothing), features.get(side, nothing), confidence)
        for side in ("synthetic", "holdout")
    }
    dimensions = next(iter(features.values()), nothing).shape[1]
    return FidelityResult(features=name, dimensions=dimensions, num_images=int(counts_K.sum()), **scores)


def _counts_of_all(labels: Sequence[np.ndarray]) -> np.ndarray:
    """Return int64 [K]: of every class as many images as the side with fewest has, at most MAX_IMAGES altogether."""
    num_classes = max((int(side.max()) + 1 for side in labels), default=0)
    counts = [np.bincount(side, minlength=num_classes) for side in labels]
    fewest_K = np.min(counts, axis=0) if counts else np.zeros(0, dtype=np.int64)
    return fewest_K if fewest_K.sum() <= MAX_IMAGES else fewest_K * MAX_IMAGES // fewest_K.sum()


def _draw(rows: np.ndarray, labels: np.ndarray, counts_K: np.ndarray, seed: int) -> np.ndarray:
    """Return some of `rows` in random order, `counts_K[k]` of class k."""
    order = np.random.default_rng(seed).permutation(len(rows))
    kept = [np.flatnonzero(labels[order] == label)[:count] for label, count in enumerate(counts_K)]
    return rows[order[np.sort(np.concatenate(kept))]]
