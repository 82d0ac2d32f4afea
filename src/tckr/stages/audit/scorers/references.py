"""What the reference runs say about every record: counts, means and squares of those that saw it and those that did not.

Knows no attack. Rows are read one by one, so memory is O(N) beside the matrices however many runs there are, and squares
are summed around the mean in a second pass: sums over all runs less the attacked one would cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

RESOLUTION = 1e-7
"""Of the larger of a record's two means: signals that differ less are equal (float32 resolves 6e-8)."""

SMALLEST_VARIANCE = 1e-100
"""Where the signals are zero as well: keeps identical reference runs from dividing by zero."""


class Means(Protocol):
    """How many runs of one side there are for every record, and their mean; each [N]."""

    @property
    def count(self) -> np.ndarray:
        """Number of runs; 0 to R - 1."""

    @property
    def mean(self) -> np.ndarray:
        """Any finite number where there is no run."""


@dataclass(frozen=True)
class Tally:
    """The runs of one side for every record: how many, their mean (0 for none), their squares around it; each [N]."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @property
    def freedom(self) -> np.ndarray:
        """Degrees of freedom of `squares`."""
        return np.maximum(self.count - 1, 0.0)


def tally(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> tuple[Tally, Tally]:
    """Return what the runs but the attacked one say that saw each record, and that did not."""
    return _tally(signals_RN, members_RN, attacked, saw=True), _tally(signals_RN, members_RN, attacked, saw=False)


def _tally(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int, *, saw: bool) -> Tally:
    count, mean, squares = np.zeros((3, signals_RN.shape[1]))
    runs = [run for run in range(len(signals_RN)) if run != attacked]
    for run in runs:
        chosen = members_RN[run] == saw
        count += chosen
        mean += np.where(chosen, signals_RN[run], 0.0)
    mean /= np.maximum(count, 1)
    for run in runs:
        squares += np.where(members_RN[run] == saw, signals_RN[run] - mean, 0.0) ** 2
    return Tally(count, mean, squares)


def average_gap(inside: Means, outside: Means) -> float:
    """Return by how much runs that saw a record are surer of it, on average over records with both kinds.

    Where no record has both it is the difference of the averages, and without one side 0.
    """
    both = (inside.count > 0) & (outside.count > 0)
    if both.any():
        return float((inside.mean - outside.mean)[both].mean())
    return _grand_mean(inside) - _grand_mean(outside) if inside.count.any() and outside.count.any() else 0.0


def filled_means(inside: Means, outside: Means) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of both sides; a missing one is the other side's, moved by the average difference.

    With few reference runs some records were seen by all or by none. This treats members and non-members of the attacked
    run alike, so it costs power but makes nothing up.
    """
    gap = average_gap(inside, outside)
    mean_in = np.where(inside.count > 0, inside.mean, outside.mean + gap)
    return mean_in, np.where(outside.count > 0, outside.mean, inside.mean - gap)


def total_variance(inside: Tally, outside: Tally) -> float:
    """Return the variance of all signals, whatever their record and side."""
    runs = float(inside.count.sum() + outside.count.sum())
    mean = sum(float((side.count * side.mean).sum()) for side in (inside, outside)) / runs
    squares = (side.squares + side.count * (side.mean - mean) ** 2 for side in (inside, outside))
    return sum(float(each.sum()) for each in squares) / runs


def variance_floor(inside: Tally, outside: Tally) -> np.ndarray:
    """Return the variance below which a record's signals are equal for all that floats can tell, [N]."""
    largest = np.maximum(np.abs(inside.mean), np.abs(outside.mean))
    return np.maximum((RESOLUTION * largest) ** 2, SMALLEST_VARIANCE)


def _grand_mean(side: Means) -> float:
    return float((side.count * side.mean).sum() / side.count.sum())
