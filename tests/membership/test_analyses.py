from __future__ import annotations

import numpy as np
import pytest

from tckr.artifacts.audit import LeaveOneOut
from tckr.membership.analyses import SHARED, leave_one_out, mean_over_runs, target_run
from tckr.membership.scorers import SCORERS, NoSums, Scorer
from tckr.membership.thresholds import fix_thresholds
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tests.membership.worlds import world
from tests.metrics.coverage import at_least, at_most, coverage

SCORER = SCORERS["lira_offline_fixed_variance"]


def test_leave_one_out_attacks_every_run() -> None:
    found, members = world()
    result = leave_one_out(SCORER, found, members, 0.95)["leave_one_out"]
    assert isinstance(result, LeaveOneOut)
    assert len(result.runs) == 9
    assert result.runs[0] == pytest.approx(target_run(SCORER, found, members, 0.95)["auc"].value)
    assert result.spread == pytest.approx(np.std(result.runs, ddof=1))
    assert isinstance(result.mean, Estimate)
    assert result.mean.n == 9


def test_interval_over_runs_covers() -> None:
    def draw(generator: np.random.Generator) -> Measured:
        return mean_over_runs(generator.normal(0.6, 0.02, size=9), 0.95, share_terms=False)

    assert at_least() <= coverage(draw, 0.6) <= at_most()
    assert isinstance(mean_over_runs(np.array([0.6]), 0.95, share_terms=False), NotMeasurable)
    assert isinstance(mean_over_runs(np.array([0.6, 0.5]), 0.95, share_terms=True), NotMeasurable)


def test_runs_that_share_every_term_vary_twice_as_much_as_their_spread_says() -> None:
    """The closed form of `mean_over_runs`: A_r is the sum over s of T_rs = T_sr, all else independent, n = 6 runs."""
    generator = np.random.default_rng(0)
    upper = np.triu(generator.normal(size=(20_000, 6, 6)), 1)
    sums = (upper + upper.transpose(0, 2, 1)).sum(axis=2)
    variance, spread = sums.mean(axis=1).var(), sums.var(axis=1, ddof=1).mean()
    assert variance == pytest.approx(2 * 5 / 6, rel=0.03)
    assert spread == pytest.approx(6 - 2, rel=0.03)
    assert variance / (spread / 6) == pytest.approx(2 * 5 / 4, rel=0.05)


@pytest.mark.parametrize("name", ["bavaria_online", "lira_online_fixed_variance", "lira_offline_fixed_variance"])
@pytest.mark.parametrize("rows", [5, 9])
def test_mean_over_runs_covers_guessing_where_nothing_leaks(name: str, rows: int) -> None:
    worlds = (world(seed, rows=rows, records=100, shift=0.0) for seed in range(120))
    found = [leave_one_out(SCORERS[name], *each, 0.95)["leave_one_out"].mean for each in worlds]
    assert sum(estimate.covers(0.5) for estimate in found) >= 106  # 114 expected; fewer than 106 once in 1,000
    if SCORERS[name].learns_effect:  # taken as independent they cover some 100
        narrow = [
            abs(each.value - 0.5) < (each.high - each.value) / (SHARED * (rows - 1) / (rows - 2)) ** 0.5 for each in found
        ]
        assert sum(narrow) < 110


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("rows", [3, 4, 9])
def test_attacking_all_runs_at_once_is_attacking_each_alone(name: str, rows: int) -> None:
    found, members = world(rows=rows, records=80)
    found[:, :3] = np.where(members[:, :3], 30.0, -5.0)  # sums that would cancel if runs were taken away
    for run, scores in enumerate(SCORERS[name].score_each(found, members)):
        assert scores == pytest.approx(SCORERS[name].score(found, members, run), rel=1e-9, abs=1e-9)
    for run, scores in SCORERS[name].score_in_turn(found, members):
        assert scores == pytest.approx(SCORERS[name].score(found[run:], members[run:], 0), rel=1e-9, abs=1e-9)


def test_attacking_all_runs_at_once_adds_runs_a_few_times_each() -> None:
    class Counting(NoSums):
        added = 0

        def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
            Counting.added += 1

    found, members = world(rows=64, records=4)
    assert sum(1 for _ in Scorer(SCORERS["global_threshold"].rate, Counting).score_each(found, members)) == 64
    assert Counting.added == 64 * 6  # log2 64; each attack on its own would add 63


def test_leave_one_out_covers_although_runs_share_their_references() -> None:
    found = [leave_one_out(SCORER, *world(seed, rows=5, records=60), 0.95)["leave_one_out"].mean for seed in range(200)]
    truth = np.mean([estimate.value for estimate in found])
    assert sum(estimate.covers(truth) for estimate in found) >= 178  # 190 expected; fewer than 178 once in 1,000


def test_thresholds_ignore_the_target_and_its_membership() -> None:
    found, members = world()
    fixed = fix_thresholds(SCORER, found, members, 0.95, 1e-5)
    found[0], members[0] = 99.0, ~members[0]
    assert fix_thresholds(SCORER, found, members, 0.95, 1e-5) == fixed


def test_thresholds_separate_the_reference_runs() -> None:
    found, members = world(shift=100.0)
    fixed = fix_thresholds(SCORER, found, members, 0.95, 1e-5)
    scores = SCORER.score(found, members, 0)
    for threshold in (fixed.balanced_accuracy, fixed.epsilon):
        assert ((scores > threshold) == members[0]).mean() > 0.95


def test_thresholds_of_constant_scores_are_finite() -> None:
    found, members = world()
    fixed = fix_thresholds(SCORERS["global_threshold"], np.ones_like(found), members, 0.95, 1e-5)
    assert np.isfinite([fixed.balanced_accuracy, fixed.epsilon]).all()
