"""Select the members that the adapter is trained on: a share of every class; smaller shares are parts of larger ones."""

from __future__ import annotations

import numpy as np

from tckr.data.seeds import derive_seed


def subset_rows(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return int64, ascending: positions in `labels` of a share `fraction` of each class, rounded, at least one.

    Each class is shuffled by (seed, label); a share consists of the first ones in this order.
    """
    chosen = []
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        order = np.random.default_rng(derive_seed(seed, "adapt", "subset", int(label))).permutation(len(positions))
        chosen.append(positions[order[: max(1, round(fraction * len(positions)))]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
