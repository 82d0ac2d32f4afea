from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tckr.stages.audit.config import AuditConfig, ScorerName
from tckr.stages.audit.scorers import SCORERS, reference_statistics
from tests.metrics.coverage import REPETITIONS, at_least
from tests.stages.audit.worlds import membership, signals

WITH_REFERENCES = [name for name, scorer in SCORERS.items() if scorer.needs_references]


def world(seed: int = 0, rows: int = 9, records: int = 300, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    members = membership(generator, rows, records)
    return signals(generator, members, shift), members


def target_auc(name: str, found: np.ndarray, members: np.ndarray) -> Estimate:
    measured = auc(SCORERS[name].score(found, members, 0), members[0], 0.95)
    assert isinstance(measured, Estimate)
    return measured


def test_config_knows_every_scorer() -> None:
    assert set(ScorerName.__args__) == set(SCORERS)
    assert AuditConfig().scorer in SCORERS


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("attacked", [0, 3])
def test_scores_do_not_depend_on_the_attacked_runs_membership(name: str, attacked: int) -> None:
    found, members = world()
    changed = members.copy()
    changed[attacked] = ~changed[attacked]
    assert (SCORERS[name].score(found, members, attacked) == SCORERS[name].score(found, changed, attacked)).all()


@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_scores_do_depend_on_the_reference_runs(name: str) -> None:
    found, members = world()
    changed = members.copy()
    changed[1] = ~changed[1]
    assert (SCORERS[name].score(found, members, 0) != SCORERS[name].score(found, changed, 0)).any()


@pytest.mark.parametrize("name", SCORERS)
def test_order_of_records_and_of_reference_runs_changes_nothing(name: str) -> None:
    found, members = world()
    scores = SCORERS[name].score(found, members, 0)
    records = np.random.default_rng(1).permutation(members.shape[1])
    runs = np.append(0, 1 + np.random.default_rng(2).permutation(len(members) - 1))
    assert SCORERS[name].score(found[:, records], members[:, records], 0) == pytest.approx(scores[records])
    assert SCORERS[name].score(found[runs], members[runs], 0) == pytest.approx(scores)


def hand_made() -> tuple[np.ndarray, np.ndarray]:
    """One record: in-models say 4, 6 (mean 5, variance 2), out-models 1, 2, 3 (mean 2, variance 1); the target says 4.5."""
    return np.array([[4.5, 4, 6, 1, 2, 3]]).T, np.array([[True, True, True, False, False, False]]).T


def test_lira_online_is_the_log_ratio_of_the_two_normals() -> None:
    expected = norm.logpdf(4.5, 5, 2**0.5) - norm.logpdf(4.5, 2, 1)
    assert SCORERS["lira_online"].score(*hand_made(), 0) == pytest.approx([expected])


def test_fixed_variance_is_shared_by_in_and_out() -> None:
    expected = norm.logpdf(4.5, 5, 1.5**0.5) - norm.logpdf(4.5, 2, 1.5**0.5)
    assert SCORERS["lira_online_fixed_variance"].score(*hand_made(), 0) == pytest.approx([expected])


@pytest.mark.parametrize("name", ["lira_offline", "lira_offline_fixed_variance"])
def test_lira_offline_is_the_upper_tail_of_the_out_normal(name: str) -> None:
    assert SCORERS[name].score(*hand_made(), 0) == pytest.approx([-norm.logsf(4.5, 2, 1)])


@pytest.mark.parametrize("name", ["lira_offline", "lira_offline_fixed_variance", "lira_online_fixed_variance"])
def test_score_grows_with_the_signal_far_into_the_tail(name: str) -> None:
    found, members = (np.repeat(array, 6, axis=1) for array in hand_made())
    found[0] = [-20, 2, 10, 50, 500, 1e6]
    scores = SCORERS[name].score(found, members, 0)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()


def test_online_attack_with_many_references_reaches_its_closed_form() -> None:
    found, members = world(rows=201, records=2000, shift=1.0)
    assert target_auc("lira_online_fixed_variance", found, members).covers(norm.cdf(1 / 2**0.5))
    assert target_auc("lira_offline_fixed_variance", found, members).covers(norm.cdf(1 / 2**0.5))
    global_auc = norm.cdf(1 / (2 * (1 + 3.0**2)) ** 0.5)  # record levels of spread 3 blur the global threshold
    assert target_auc("global_threshold", found, members).covers(global_auc)


@pytest.mark.parametrize("name", SCORERS)
def test_memorizer_scores_about_one(name: str) -> None:
    found, members = world(shift=100.0)
    assert target_auc(name, found, members).value > 0.95


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("leak", [0.0, 2.0])
def test_a_target_that_saw_nothing_scores_one_half(name: str, leak: float) -> None:
    """R = 8, N = 1300, all records judged with the same reference runs: the dependence must not spoil the interval."""
    generator, covered = np.random.default_rng(7), 0
    levels = 3 * generator.normal(size=1300)
    for repetition in range(100):
        if repetition % 10 == 0:
            members = membership(generator, 9, 1300)
            found = levels + generator.normal(size=members.shape) + leak * members
        members[0] = membership(generator, 1, 1300)[0]
        found[0] = levels + generator.normal(size=1300)
        covered += target_auc(name, found, members).covers(0.5)
    assert covered >= 89  # 95 expected; 88 or fewer happen once in 300 sound simulations


def test_null_coverage_of_the_declared_scorer_over_many_worlds() -> None:
    covered = 0
    for seed in range(REPETITIONS):
        found, members = world(seed, records=200, shift=0.0)
        covered += target_auc(AuditConfig().scorer, found, members).covers(0.5)
    assert covered >= at_least()


def test_record_that_all_or_no_reference_runs_saw_gets_the_average_difference() -> None:
    members = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0]], dtype=bool)  # record 0: no out-model; record 2: no in-model
    found = np.array([[0.0, 0, 0], [3.0, 5, 1], [5.0, 2, 2]])
    inside, outside = reference_statistics(found, members, 0)
    assert inside.mean == pytest.approx([4, 5, 1.5 + 3])  # record 1: 5 - 2 = 3
    assert outside.mean == pytest.approx([4 - 3, 2, 1.5])
    assert inside.variance == pytest.approx([2, 2, 2])  # one variance from two runs (record 0), pooled for the others
    assert outside.variance == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("rows", [2, 3, 4])
def test_few_or_identical_references_give_finite_scores(name: str, rows: int) -> None:
    found, members = world(rows=rows, records=50)
    assert np.isfinite(SCORERS[name].score(found, members, 0)).all()
    assert np.isfinite(SCORERS[name].score(np.ones_like(found), members, 0)).all()
    assert np.isfinite(SCORERS[name].score(found, np.ones_like(members), 0)).all()
    assert np.isfinite(SCORERS[name].score(found, np.zeros_like(members), 0)).all()
