"""Sum up the reference runs for every record: count, mean and squares, of runs trained on it and runs not trained on it.

Runs are added one by one to running sums (Welford 1962), never taken away: a sum over all runs less the attacked one would
cancel. To attack every run with the others as references, the runs are halved: the sums of one half are the start for the
other, so R runs cost R log2 R additions and O(N log R) memory, where each attack on its own would cost R. Attacks that read
the same sums share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

RESOLUTION = 1e-7
"""Share of the larger of a record's two means: signals that differ less count as equal (float32 resolves 6e-8)."""

SIDES = np.array([[True], [False]])
"""Membership of a record in the runs of each side: those trained on it, those not trained on it."""

SMALLEST_VARIANCE = 1e-100
"""Bound for signals that are zero as well: identical reference runs must not cause division by zero."""


class Means(Protocol):
    """The number of runs of one side for every record, and their mean; each [N]."""

    @property
    def count(self) -> np.ndarray:
        """Number of runs, 0 to R - 1."""

    @property
    def mean(self) -> np.ndarray:
        """Mean; any finite number if there is no run."""


@dataclass(frozen=True)
class Tally:
    """The runs of one side for every record: number, mean (0 without runs), and squares around the mean; each [N]."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @property
    def freedom(self) -> np.ndarray:
        """Degrees of freedom of `squares`."""
        return np.maximum(self.count - 1, 0.0)


class Known(Protocol):
    """Statistics of some runs for every record."""

    def sides(self) -> tuple[Any, Any]:
        """Return the statistics of runs that were trained on each record, and of those that were not."""


class Sums(Known, Protocol):
    """Statistics to which runs can be added."""

    def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
        """Add a run."""

    def copy(self) -> Self:
        """Return a copy to which other runs can be added."""


class Begin(Protocol):
    """A kind of sums."""

    def __call__(self, signals_RN: np.ndarray, /) -> Sums:
        """Return sums without a run; `signals_RN`, all values that may be added, sets the scale of some sums."""

    def without_each(self, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, Known]]:
        """Yield every run, in order, with the statistics of all others."""


class TallySums:
    """Counts, means and squares of both sides, each [2, N]: runs trained on a record, runs not trained on it."""

    def __init__(self, signals_RN: np.ndarray) -> None:
        """Start without a run."""
        self._sums = np.zeros((3, 2, signals_RN.shape[1]))

    def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
        """Add a run."""
        chosen, (count, mean, squares) = members_N == SIDES, self._sums
        count += chosen
        before = (signal_N - mean) * chosen
        mean += before / np.maximum(count, 1)
        squares += before * (signal_N - mean)

    def copy(self) -> TallySums:
        """Return a copy to which other runs can be added."""
        copied = TallySums(np.empty((0, 0)))
        copied._sums = self._sums.copy()
        return copied

    def sides(self) -> tuple[Tally, Tally]:
        """Return both sides."""
        inside, outside = (Tally(*self._sums[:, side].copy()) for side in (0, 1))
        return inside, outside

    @classmethod
    def without_each(cls, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, Sums]]:
        """Yield every run, in order, with the sums of all others."""
        return by_halves(cls, signals_RN, members_RN)


def by_halves(
    make: Callable[[np.ndarray], Sums], signals_RN: np.ndarray, members_RN: np.ndarray
) -> Iterator[tuple[int, Sums]]:
    """Yield every run, in order, with the sums of all others; they are not changed afterwards."""
    yield from _halved(make(signals_RN), range(len(signals_RN)), signals_RN, members_RN)


def _halved(sums: Sums, runs: range, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, Sums]]:
    """Yield each of `runs` with the sums of all other runs; `sums` holds those of the runs outside `runs`."""
    if len(runs) == 1:
        yield runs[0], sums
        return
    halves = runs[: len(runs) // 2], runs[len(runs) // 2 :]
    for own, others in (halves, halves[::-1]):
        fuller = sums.copy()
        for run in others:
            fuller.add(signals_RN[run], members_RN[run])
        yield from _halved(fuller, own, signals_RN, members_RN)


def after_each(make: Begin, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, Sums]]:
    """Yield the runs from the last but one to the first, each with the sums of the runs that come after it."""
    sums = make(signals_RN)
    for run in range(len(signals_RN) - 2, -1, -1):
        sums.add(signals_RN[run + 1], members_RN[run + 1])
        yield run, sums


def without_one(make: Begin, signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> Sums:
    """Return the sums of all runs but `attacked`."""
    sums = make(signals_RN)
    for run in range(len(signals_RN)):
        if run != attacked:
            sums.add(signals_RN[run], members_RN[run])
    return sums


def of_counts(function: Callable[[np.ndarray], np.ndarray], count_N: np.ndarray) -> np.ndarray:
    """Return `function` of every count, [N], computed once per number from 0: there are many records but few counts."""
    numbers = count_N.astype(np.int64)
    return function(np.arange(numbers.max(initial=0) + 1.0))[numbers]


def tally(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> tuple[Tally, Tally]:
    """Return the sums of all runs but the attacked one: of runs trained on each record, and of the others."""
    inside, outside = without_one(TallySums, signals_RN, members_RN, attacked).sides()
    return inside, outside


def average_gap(inside: Means, outside: Means) -> float:
    """Return how much surer runs trained on a record are of it, on average over records with both kinds of runs.

    If no record has both kinds it is the difference of the averages; if one side has no runs at all it is 0.
    """
    both = (inside.count > 0) & (outside.count > 0)
    if both.any():
        return float((inside.mean - outside.mean)[both].mean())
    return _grand_mean(inside) - _grand_mean(outside) if inside.count.any() and outside.count.any() else 0.0


def filled_means(inside: Means, outside: Means) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of both sides; a missing one is replaced by the other side's, moved by the average difference.

    With few reference runs, some records are in all of them or in none. Members and non-members of the attacked run are
    treated alike, so this costs power but does not create a false leak.
    """
    gap = average_gap(inside, outside)
    mean_in = np.where(inside.count > 0, inside.mean, outside.mean + gap)
    return mean_in, np.where(outside.count > 0, outside.mean, inside.mean - gap)


def total_variance(inside: Tally, outside: Tally) -> float:
    """Return the variance of all signals, over all records and both sides."""
    runs = float(inside.count.sum() + outside.count.sum())
    mean = sum(float((side.count * side.mean).sum()) for side in (inside, outside)) / runs
    squares = (side.squares + side.count * (side.mean - mean) ** 2 for side in (inside, outside))
    return sum(float(each.sum()) for each in squares) / runs


def variance_floor(inside: Tally, outside: Tally) -> np.ndarray:
    """Return the variance below which a record's signals are equal within float precision, [N]."""
    largest = np.maximum(np.abs(inside.mean), np.abs(outside.mean))
    return np.maximum((RESOLUTION * largest) ** 2, SMALLEST_VARIANCE)


def _grand_mean(side: Means) -> float:
    return float((side.count * side.mean).sum() / side.count.sum())
