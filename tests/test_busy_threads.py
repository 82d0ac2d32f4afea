"""`benchmarks/busy_threads.py` fails when the command line's threads are slower than its bars allow, and only then."""

from __future__ import annotations

import pytest
from benchmarks.busy_threads import Paces, missed


def paces(quiet: float, beside_one: float) -> Paces:
    """Return a round in which the libraries' defaults take 10 steps a second on the quiet machine."""
    return {(0, "default"): 10.0, (0, "tckr"): quiet, (1, "default"): 0.1, (1, "tckr"): beside_one}


@pytest.mark.parametrize(
    ("quiet", "beside_one", "expected"),
    [(9.2, 4.1, []), (9.0, 4.1, [0]), (9.2, 3.9, [1]), (9.0, 3.9, [0, 1])],
)
def test_a_bar_is_missed_by_the_median_of_the_rounds(quiet: float, beside_one: float, expected: list[int]) -> None:
    rounds = [paces(quiet, beside_one), paces(1.0, 1.0), paces(20.0, 20.0)]
    assert [int(text.split()[1]) for text in missed(rounds, [0, 1])] == expected


def test_a_bar_that_was_not_measured_is_not_missed() -> None:
    assert missed([{(0, "default"): 10.0, (0, "tckr"): 10.0}], [0]) == []
