"""The units that a guarantee protects, and how a step of DP-SGD samples them."""

from __future__ import annotations

import numpy as np


class Units:
    """The units to which the rows of a set of images belong."""

    def __init__(self, unit_of: np.ndarray) -> None:
        """Store the unit of each row, int64 [N], arbitrary numbers."""
        self._order = np.argsort(unit_of, kind="stable")
        _, self._starts, self._sizes = np.unique(unit_of[self._order], return_index=True, return_counts=True)

    def __len__(self) -> int:
        """Return the number of units."""
        return len(self._starts)

    def shares(self) -> np.ndarray:
        """Return the share of each row in its unit, float64 [N]: 1 / number of the unit's rows."""
        shares = np.empty(len(self._order))
        shares[self._order] = np.repeat(1 / self._sizes, self._sizes)
        return shares

    def sample(self, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return one random row of each sampled unit; each unit is sampled with probability `rate`, independently."""
        taken = np.flatnonzero(rng.random(len(self)) < rate)
        return np.asarray(self._order[self._starts[taken] + rng.integers(self._sizes[taken])])
