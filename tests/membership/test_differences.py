"""Student minus Teacher over runs: the mean of the runs' differences, paired, with an interval that holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tckr.membership import verdict
from tckr.membership.analyses import aucs_of_runs
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence, Predictions
from tckr.membership.scorers import SCORERS
from tckr.membership.verdict import differences, judge
from tckr.metrics.estimate import Estimate
from tests.membership.worlds import evidence as complete_evidence
from tests.membership.worlds import membership

CONFIG = MembershipConfig()
LEVELS = 3 * np.random.default_rng(0).normal(size=100)


def evidence(seed: int, teacher: float, student: float, rows: int = 5) -> Evidence:
    """Return runs whose Teacher and Student share half of their noise; members are higher by the given amounts."""
    generator = np.random.default_rng(seed)
    members = membership(generator, rows, 100)
    shared = generator.normal(size=members.shape)
    amounts = {"teacher": teacher, "student": student}
    signals = {
        name: LEVELS + shared + generator.normal(size=members.shape) + amount * members for name, amount in amounts.items()
    }
    answers = Predictions(np.zeros(2, dtype=np.int64), np.full(2, 0.9), np.zeros(2), np.zeros(2))
    return Evidence(
        class_names=["a"],
        labels=np.zeros(100, dtype=np.int64),
        members=members,
        signals=signals,
        test_labels=np.zeros(2, dtype=np.int64),
        test={"teacher": answers, "student": answers},
    )


def over_runs(given: Evidence) -> Estimate:
    found = differences(CONFIG, given).auc_over_runs
    assert isinstance(found, Estimate)
    return found


def test_it_is_the_mean_of_the_differences_of_every_run() -> None:
    given = evidence(0, 3.0, 0.5)
    teacher, student = (
        aucs_of_runs(SCORERS[CONFIG.scorer], given.signals[name], given.members) for name in ("teacher", "student")
    )
    assert over_runs(given).value == pytest.approx((student - teacher).mean())
    assert over_runs(given).high < 0


def test_models_that_answer_alike_differ_by_nothing_at_all() -> None:
    given = evidence(0, 1.0, 1.0)
    same = evidence(0, 1.0, 1.0).signals["teacher"]
    found = over_runs(Evidence(**{**vars(given), "signals": {"teacher": same, "student": same}}))
    assert (found.low, found.value, found.high) == (0, 0, 0)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_its_interval_covers_zero_where_both_leak_the_same(shift: float) -> None:
    audits = 25
    covered = sum(over_runs(evidence(seed, shift, shift)).covers(0.0) for seed in range(audits))
    assert covered >= binom.ppf(0.0005, audits, 0.95)


@pytest.mark.usefixtures("few_scorers", "few_redraws")
def test_an_audit_takes_the_attacks_on_student_and_teacher_that_it_has_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"records": 100, "num_references": 4}
    alone = over_runs(complete_evidence(**sizes))
    monkeypatch.setattr(verdict, "aucs_of_runs", None)
    found = judge(CONFIG, complete_evidence(**sizes)).differences
    assert found is not None
    assert found.auc_over_runs == alone
