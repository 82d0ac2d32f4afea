"""Use medians of the reference runs instead of their means, as LiRA's own code does (Carlini et al. 2022).

One run that did not train well moves a mean, but hardly a median. The variance stays that around the mean, as published.
A median cannot be summed, so the ranks of all values are counted: adding a run or reading the medians costs O(N log R).
"""

from __future__ import annotations

from copy import copy

import numpy as np

from tckr.membership.scorers.references import Tally, TallySums


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
