from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tckr.membership.scorers import SCORERS, medians
from tckr.membership.scorers.medians import MedianSums
from tckr.membership.scorers.references import without_one
from tests.membership.worlds import world


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 9, 17, 33])
@pytest.mark.parametrize("digits", [0, 6])
def test_medians_equal_numpys_with_and_without_ties(rows: int, digits: int) -> None:
    generator = np.random.default_rng(rows)
    found, members = np.round(generator.normal(size=(rows, 40)), digits), generator.random((rows, 40)) < 0.5
    for run, sums in MedianSums.without_each(found, members):
        others = np.arange(rows) != run
        for side, seen in zip(sums.sides(), (members[others], ~members[others]), strict=True):
            own = [column[chosen] for column, chosen in zip(found[others].T, seen.T, strict=True)]
            assert side.count.tolist() == [len(values) for values in own]
            assert side.mean == pytest.approx([np.median(values) if len(values) else 0.0 for values in own])


def test_lira_by_medians_is_lira_with_another_location() -> None:
    """In-models say 4, 6, 11 (median 6, variance 13), out-models 1, 2, 6 (median 2, variance 7); the target says 4.5."""
    found, members = np.array([[4.5, 4, 6, 11, 1, 2, 6]]).T, np.array([[True] * 4 + [False] * 3]).T
    expected = norm.logpdf(4.5, 6, 13**0.5) - norm.logpdf(4.5, 2, 7**0.5)
    assert SCORERS["lira_online_median"].score(found, members, 0) == pytest.approx([expected])
    assert SCORERS["lira_offline_median"].score(found, members, 0) == pytest.approx([-norm.logsf(4.5, 2, 7**0.5)])


def test_one_run_that_went_wrong_moves_a_mean_but_hardly_a_median() -> None:
    found, members = world(rows=17, records=400)
    found[5] -= 100
    sums = next(iter(MedianSums.without_each(found, members)))[1]
    right, _ = world(rows=17, records=400)
    truth = next(iter(MedianSums.without_each(right, members)))[1]
    for broken, whole in zip(sums.sides(), truth.sides(), strict=True):
        assert np.abs(broken.mean - whole.mean).mean() < 0.3


def test_medians_without_each_run_are_those_of_runs_added_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found, members = world(rows=9, records=50)
    found = np.round(found, 1)
    one_by_one = [without_one(MedianSums, found, members, run).sides() for run in range(9)]
    monkeypatch.setattr(medians, "CHUNK", 9 * 7)  # seven records at a time
    for (_, sums), expected in zip(MedianSums.without_each(found, members), one_by_one, strict=True):
        for side, own in zip(sums.sides(), expected, strict=True):
            assert np.array_equal(side.mean, own.mean)
            assert np.array_equal(side.count, own.count)


def test_attacking_all_runs_adds_none_to_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """By halves, R log2 R runs would be added, each for O(N log R)."""
    monkeypatch.delattr(MedianSums, "add")
    found, members = world(rows=9, records=50)
    assert sum(1 for _ in SCORERS["lira_offline_median"].score_each(found, members)) == 9
