"""Choose the images whose features are compared to measure fidelity.

The reference are members, which the generator should imitate. For comparison, hold-out records of the pool are measured
against the same members: real images on which no model was trained. A generator that learned the distribution, but no
single record, would score like them. All sides have equally many images of every class, because different class shares of
private and synthetic set would otherwise count as a difference. The Teacher was trained on the members but on neither of the
two compared sides, so its features favour neither. The test split is not needed and not read. A score better than that of
the hold-out is a warning: copied members would produce it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tckr.data.seeds import derive_seed
from tckr.metrics.fidelity import MIN_IMAGES, measure_fidelity
from tckr.metrics.results import FidelityResult

MAX_IMAGES = 5_000
"""Maximum images per side; more would only reduce the bias of FID, which both sides share, at quadratic cost."""

Encode = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(uint8 [M, H, W, 3], rows int64 [N]) -> features [N, D]."""

Side = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Images uint8 [M, H, W, 3], the rows int64 [N] of those that belong to the side, and their labels int64 [N]."""


def compare_with_members(
    encode: Encode, name: str, *, members: Side, synthetic: Side, holdout: Side, seed: int, confidence: float
) -> FidelityResult:
    """Return fidelity of the synthetic and of the hold-out images, with random samples of equal class sizes.

    Args:
        encode: computes the features of some rows.
        name: name of the model of `encode`.
        members: the reference.
        synthetic: the images to judge.
        holdout: for comparison; if there are too few, only their own result is not measurable.
        seed: seed of the samples.
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
    """Return int64 [K]: per class the size of the smallest side, at most MAX_IMAGES in total."""
    num_classes = max((int(side.max()) + 1 for side in labels), default=0)
    counts = [np.bincount(side, minlength=num_classes) for side in labels]
    fewest_K = np.min(counts, axis=0) if counts else np.zeros(0, dtype=np.int64)
    return fewest_K if fewest_K.sum() <= MAX_IMAGES else fewest_K * MAX_IMAGES // fewest_K.sum()


def _draw(rows: np.ndarray, labels: np.ndarray, counts_K: np.ndarray, seed: int) -> np.ndarray:
    """Return a random sample of `rows`, with `counts_K[k]` of class k."""
    order = np.random.default_rng(seed).permutation(len(rows))
    kept = [np.flatnonzero(labels[order] == label)[:count] for label, count in enumerate(counts_K)]
    return rows[order[np.sort(np.concatenate(kept))]]
