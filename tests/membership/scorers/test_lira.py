from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.lira import reference_statistics
from tckr.membership.scorers.references import tally
from tests.membership.worlds import world


def hand_made() -> tuple[np.ndarray, np.ndarray]:
    """One record: in-models say 4, 6 (mean 5, variance 2), out-models 1, 2, 3 (mean 2, variance 1); the target says 4.5."""
    return np.array([[4.5, 4, 6, 1, 2, 3]]).T, np.array([[True, True, True, False, False, False]]).T


def score(name: str) -> np.ndarray:
    return SCORERS[name].score(*hand_made(), 0)


def test_online_is_the_log_ratio_of_the_two_normals() -> None:
    assert score("lira_online") == pytest.approx([norm.logpdf(4.5, 5, 2**0.5) - norm.logpdf(4.5, 2, 1)], abs=1e-9)


def test_fixed_variance_is_shared_by_in_and_out() -> None:
    expected = norm.logpdf(4.5, 5, 1.5**0.5) - norm.logpdf(4.5, 2, 1.5**0.5)
    assert score("lira_online_fixed_variance") == pytest.approx([expected], abs=1e-9)


@pytest.mark.parametrize("name", ["lira_offline", "lira_offline_fixed_variance"])
def test_offline_is_the_upper_tail_of_the_out_normal(name: str) -> None:
    assert score(name) == pytest.approx([-norm.logsf(4.5, 2, 1)], abs=1e-9)


@pytest.mark.parametrize("name", ["lira_offline", "lira_offline_fixed_variance", "lira_online_fixed_variance"])
def test_score_grows_with_the_signal_far_into_the_tail(name: str) -> None:
    found, members = (np.repeat(array, 6, axis=1) for array in hand_made())
    found[0] = [-20, 2, 10, 50, 500, 1e6]
    scores = SCORERS[name].score(found, members, 0)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("name", ["lira_online", "lira_online_fixed_variance"])
def test_exchanging_in_and_out_of_all_runs_turns_the_log_ratio_around(name: str) -> None:
    found, members = world()
    assert SCORERS[name].score(found, ~members, 0) == pytest.approx(-SCORERS[name].score(found, members, 0), abs=1e-9)


def test_record_that_all_or_no_reference_runs_saw_gets_the_average_difference() -> None:
    members = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0]], dtype=bool)  # record 0: no out-model; record 2: no in-model
    found = np.array([[0.0, 0, 0], [3.0, 5, 1], [5.0, 2, 2]])
    inside, outside = reference_statistics(*tally(found, members, 0))
    assert inside.mean == pytest.approx([4, 5, 1.5 + 3])  # record 1: 5 - 2 = 3
    assert outside.mean == pytest.approx([4 - 3, 2, 1.5])
    assert inside.variance == pytest.approx([2, 2, 2])  # one variance from two runs (record 0), pooled for the others
    assert outside.variance == pytest.approx([0.5, 0.5, 0.5])


def test_small_variances_of_small_signals_are_kept() -> None:
    found, members = world()
    small = reference_statistics(*tally(1e-6 * found, members, 0))[0].variance
    assert small == pytest.approx(1e-12 * reference_statistics(*tally(found, members, 0))[0].variance, rel=1e-9)
