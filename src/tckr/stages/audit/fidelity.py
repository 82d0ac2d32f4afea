"""Whose features are compared with whose. Knows images and features, neither paths nor models.

The reference are members: what the generator was to imitate. The yardstick are hold-out records of the pool, held against
the same members: real images that neither generator nor Teacher saw, so a generator that had learned the distribution, and
no record, would score like them. The Teacher saw the members and neither of the two that are compared, so its features
favour none. The test split is not needed, so not read. Better than hold-out is no praise: copies of members score so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tckr.data.seeds import derive_seed
from tckr.metrics.fidelity import MIN_IMAGES, measure_fidelity
from tckr.metrics.results import FidelityResult

MAX_IMAGES = 5_000
"""Images of a side; more would sharpen nothing but the bias of FID, which is shared, and cost the square of their number."""

Encode = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(uint8 [M, H, W, 3], rows int64 [N]) -> features [N, D]."""

Side = tuple[np.ndarray, np.ndarray]
"""Images uint8 [M, H, W, 3] and the rows of those that belong to the side."""


def compare_with_members(
    encode: Encode, name: str, *, members: Side, synthetic: Side, holdout: Side, seed: int, confidence: float
) -> FidelityResult:
    """Return fidelity of the synthetic and of the hold-out images, equally many of each, drawn at random.

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
    enough = {side: rows for side, (_, rows) in sides.items() if len(rows) >= MIN_IMAGES}
    n = min([MAX_IMAGES, *map(len, enough.values())])
    drawn = {side: _draw(rows, n, derive_seed(seed, "fidelity", side)) for side, rows in enough.items()}
    features = {side: encode(sides[side][0], rows) for side, rows in drawn.items()}
    nothing = np.empty((0, 1))
    scores = {
        side: measure_fidelity(features.get("members", nothing), features.get(side, nothing), confidence)
        for side in ("synthetic", "holdout")
    }
    dimensions = next(iter(features.values()), nothing).shape[1]
    return FidelityResult(features=name, dimensions=dimensions, num_images=n if features else 0, **scores)


def _draw(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(rows)[:n]
