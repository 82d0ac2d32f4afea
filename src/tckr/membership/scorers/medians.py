"""Use medians of the reference runs instead of their means, as LiRA's own code does (Carlini et al. 2022).

One run that did not train well moves a mean, but hardly a median. The variance stays that around the mean, as published.
A median cannot be summed, so the ranks of all values are counted: adding a run or reading the medians costs O(N log R).
Without one run, the median of a record is one of the few values in its middle: they are looked up once, and each run costs
O(N).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np

from tckr.membership.scorers.references import Known, Tally, TallySums

CHUNK = 1_000_000
"""Values that are sorted at a time."""


class MedianSums:
    """`TallySums` with medians as means, from counts of ranks: a tree (Fenwick 1994) for each side and record.

    Entry i of a tree counts the runs with ranks i - (i & -i) + 1 to i, among all R values of the record; entry 0 is unused.
    Values and trees are flat, [R N] and [2 (R + 1) N], because single indices are looked up several times faster than
    triples.
    """

    def __init__(self, signals_RN: np.ndarray) -> None:
        """Start without a run; `signals_RN`: all values that can be added."""
        self._num_runs, num_records = signals_RN.shape
        self._ordered = np.sort(signals_RN, axis=0).ravel()
        self._records = np.arange(num_records)
        self._top = 1 << self._num_runs.bit_length()
        self._tallies = TallySums(signals_RN)
        self._tree = np.zeros(2 * (self._num_runs + 1) * num_records, dtype=np.int16)

    def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
        """Add a run."""
        self._tallies.add(signal_N, members_N)
        entry, first = self._below(signal_N) + 1, self._first(~members_N)
        chosen = np.arange(len(entry))
        while len(chosen):
            self._tree[first[chosen] + entry * len(signal_N)] += 1
            entry = entry + (entry & -entry)
            inside = entry <= self._num_runs
            chosen, entry = chosen[inside], entry[inside]

    def copy(self) -> MedianSums:
        """Return a copy to which other runs can be added."""
        copied = copy(self)
        copied._tallies, copied._tree = self._tallies.copy(), self._tree.copy()
        return copied

    def sides(self) -> tuple[Tally, Tally]:
        """Return both sides, with the medians as their means."""
        inside, outside = (
            Tally(each.count, self._median(side, each.count), each.squares)
            for side, each in enumerate(self._tallies.sides())
        )
        return inside, outside

    @classmethod
    def without_each(cls, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, Known]]:
        """Yield every run, in order, with the tallies of all others, whose means are medians."""
        middles = middles_of(signals_RN, members_RN), middles_of(signals_RN, ~members_RN)
        for run, sums in TallySums.without_each(signals_RN, members_RN):
            signal, members = signals_RN[run], members_RN[run]
            inside = np.where(members, middles[0].without(signal), middles[0].median)
            outside = np.where(members, middles[1].median, middles[1].without(signal))
            yield run, WithMedians(sums, (inside, outside))

    def _first(self, side: np.ndarray | int) -> np.ndarray:
        """Return the first entry of each record's tree; `side` is 0 or 1, one for all records or one for each."""
        return np.asarray(side) * ((self._num_runs + 1) * len(self._records)) + self._records

    def _below(self, signal_N: np.ndarray) -> np.ndarray:
        """Return how many of all values of each record are smaller, by a binary search in every column."""
        found, step = np.zeros(len(signal_N), dtype=np.int64), self._top
        while step:
            further = np.minimum(found + step, self._num_runs)
            smaller = self._ordered[(further - 1) * len(signal_N) + self._records] < signal_N
            found, step = np.where(smaller, further, found), step // 2
        return found

    def _median(self, side: int, count_N: np.ndarray) -> np.ndarray:
        """Return the mean of the two middle values, which may be the same one; 0 if there is no run."""
        counts = count_N.astype(np.int64)
        middle = (self._value(side, wanted) for wanted in ((counts + 1) // 2, counts // 2 + 1))
        return np.where(counts > 0, sum(middle) / 2, 0.0)

    def _value(self, side: int, wanted_N: np.ndarray) -> np.ndarray:
        """Return the value with rank `wanted_N` (from 1) among the runs of one side, by descending the tree."""
        first, number = self._first(side), len(wanted_N)
        passed, left, step = np.zeros(number, dtype=np.int64), wanted_N, self._top
        while step:
            further = passed + step
            counted = self._tree[first + np.minimum(further, self._num_runs) * number]
            go = (further <= self._num_runs) & (counted < left)
            passed, left = np.where(go, further, passed), np.where(go, left - counted, left)
            step //= 2
        return self._ordered[np.minimum(passed, self._num_runs - 1) * number + self._records]


@dataclass(frozen=True)
class WithMedians:
    """Tallies whose means are medians: those of both sides, each [N]."""

    tallies: Known
    medians: tuple[np.ndarray, np.ndarray]

    def sides(self) -> tuple[Tally, Tally]:
        """Return both sides."""
        inside, outside = (
            Tally(each.count, median, each.squares) for each, median in zip(self.tallies.sides(), self.medians, strict=True)
        )
        return inside, outside


@dataclass(frozen=True)
class Middles:
    """The values of one side in the middle of every record.

    Attributes:
        median: of all runs of the side, [N]; 0 where there is none.
        pairs: two neighbours in order, [2, 2, N]: without a run of the side the median is the mean of one of the first and
            one of the second pair; zeros where no other run is left.
    """

    median: np.ndarray
    pairs: np.ndarray

    def without(self, signal_N: np.ndarray) -> np.ndarray:
        """Return the medians without a run of this side whose value of the record this is."""
        kept = np.where(signal_N > self.pairs[:, 0], self.pairs[:, 0], self.pairs[:, 1])
        return (kept[0] + kept[1]) / 2


def middles_of(signals_RN: np.ndarray, side_RN: np.ndarray) -> Middles:
    """Return the middles of the runs of one side."""
    num_runs, num_records = signals_RN.shape
    size = max(1, CHUNK // num_runs)
    parts = [
        _sorted_middles(signals_RN[:, start : start + size].T, side_RN[:, start : start + size].T)
        for start in range(0, num_records, size)
    ]
    found = np.concatenate(parts, axis=1)
    return Middles(found[0], found[1:].reshape(2, 2, num_records))


def _sorted_middles(signals_NR: np.ndarray, side_NR: np.ndarray) -> np.ndarray:
    """Return the median, and the four values of the pairs, [5, N]."""
    ordered = np.sort(np.where(side_NR, signals_NR, np.inf), axis=1)
    count = side_NR.sum(axis=1)

    def at(place_N: np.ndarray) -> np.ndarray:
        values = ordered[np.arange(len(count)), np.clip(place_N, 0, ordered.shape[1] - 1)]
        return np.where(count > 0, values, 0.0)

    median = (at((count - 1) // 2) + at(count // 2)) / 2
    lower, upper = (count - 2) // 2, (count - 1) // 2  # of the others, in order
    pairs = np.stack([at(lower), at(lower + 1), at(upper), at(upper + 1)])
    return np.stack([median, *np.where(count > 1, pairs, 0.0)])
