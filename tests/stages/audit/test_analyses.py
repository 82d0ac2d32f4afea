from __future__ import annotations

import numpy as np
import pytest

from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.results import LeaveOneOut
from tckr.stages.audit.analyses import leave_one_out, mean_over_runs, target_run
from tckr.stages.audit.scorers import SCORERS
from tckr.stages.audit.thresholds import fix_thresholds
from tests.metrics.coverage import at_least, at_most, coverage
from tests.stages.audit.worlds import world

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
    assert at_least() <= coverage(lambda g: mean_over_runs(g.normal(0.6, 0.02, size=9), 0.95), 0.6) <= at_most()
    assert isinstance(mean_over_runs(np.array([0.6]), 0.95), NotMeasurable)


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
