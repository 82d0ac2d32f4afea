from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit, logit

from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.references import without_one
from tckr.membership.scorers.rmia import (
    OFFLINE_SLOPE,
    ConfidenceSums,
    log_ratio_offline,
    log_ratio_online,
    relative_score,
    tuned_slope,
)
from tests.membership.worlds import membership, world


def complete_world(records: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Return a world in which every record is a member of some reference runs and not of others."""
    found, members = world(rows=13, records=2 * records)
    both = members[1:].any(axis=0) & ~members[1:].all(axis=0)
    return found[:, both][:, :records], members[:, both][:, :records]


def direct_confidences(found: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return p of the target, and the mean p of the reference runs that saw each record and of those that did not."""
    p, seen = 1 / (1 + np.exp(-found)), members[1:]
    return (
        p[0],
        np.array([c[s].mean() for c, s in zip(p[1:].T, seen.T, strict=True)]),
        np.array([c[~s].mean() for c, s in zip(p[1:].T, seen.T, strict=True)]),
    )


def rated(log_ratio: Callable[..., np.ndarray], found: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the log ratios of run 0."""
    return log_ratio(*without_one(ConfidenceSums, found, members, 0).sides(), found[0])


def share_exceeded(ratio_N: np.ndarray, ratio_Z: np.ndarray, gamma: float) -> np.ndarray:
    """The definition, with its matrix [N, Z]."""
    return (ratio_N[:, None] / ratio_Z[None, :] >= gamma).mean(axis=1)


def test_online_equals_the_direct_formula() -> None:
    found, members = complete_world()
    target, inside, outside = direct_confidences(found, members)
    ratio = target / ((inside + outside) / 2)
    assert np.exp(rated(log_ratio_online, found, members)) == pytest.approx(ratio, rel=1e-9)
    assert (SCORERS["rmia_online"].score(found, members, 0) == share_exceeded(ratio, ratio, 1.0)).all()


def test_offline_equals_the_direct_formula() -> None:
    found, members = complete_world()
    target, _, outside = direct_confidences(found, members)
    ratio = target / (((1 + OFFLINE_SLOPE) * outside + (1 - OFFLINE_SLOPE)) / 2)
    assert np.exp(rated(log_ratio_offline, found, members)) == pytest.approx(ratio, rel=1e-9)
    assert (SCORERS["rmia_offline"].score(found, members, 0) == share_exceeded(ratio, ratio, 1.0)).all()


def test_tuned_slope_is_the_one_that_the_reference_runs_follow() -> None:
    """p_in = a p_out + (1 - a) in every run: then 1 - p_in = a (1 - p_out)."""
    members = membership(np.random.default_rng(0), 9, 200)
    missing = np.random.default_rng(1).uniform(0.05, 0.9, 200) * np.where(members, 0.4, 1.0)
    inside, outside = without_one(ConfidenceSums, logit(1 - missing), members, 0).sides()
    assert tuned_slope(inside, outside) == pytest.approx(0.4, rel=1e-9)


def test_tuned_offline_is_offline_with_that_slope() -> None:
    found, members = complete_world()
    target, inside, outside = direct_confidences(found, members)
    slope = ((1 - inside) @ (1 - outside)) / ((1 - outside) @ (1 - outside))
    assert 0 < slope < 1
    ratio = target / (((1 + slope) * outside + (1 - slope)) / 2)
    scores = SCORERS["rmia_offline_tuned"].score(found, members, 0)
    assert (scores == share_exceeded(ratio, ratio, 1.0)).all()
    assert (scores != SCORERS["rmia_offline"].score(found, members, 0)).any()


def test_without_records_of_both_kinds_the_slope_is_the_papers() -> None:
    found, members = world(rows=3)
    assert tuned_slope(*without_one(ConfidenceSums, found[:2], members[:2], 0).sides()) == OFFLINE_SLOPE


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_separate_population_is_counted_as_the_definition_says(gamma: float) -> None:
    generator = np.random.default_rng(0)
    ratio_N, ratio_Z = generator.lognormal(size=300), generator.lognormal(size=70)
    assert (relative_score(np.log(ratio_N), np.log(ratio_Z), gamma) == share_exceeded(ratio_N, ratio_Z, gamma)).all()


def test_hand_counted_scores_with_a_tie() -> None:
    assert relative_score(np.log([1.0, 2, 9]), np.log([0.5, 1, 2, 4]), 2.0) == pytest.approx([1 / 4, 2 / 4, 4 / 4])
    assert relative_score(np.log([1.0, 1]), np.log([1.0, 1]), 1.0) == pytest.approx([1, 1])


def test_population_that_no_run_saw_is_scored_beside_the_pool() -> None:
    """Columns without members get their in-mean from the average difference in logits, which the pool has shown."""
    found, members = complete_world()
    population = world(seed=3, rows=13, records=50, shift=0.0)[0]
    columns = np.hstack([found, population]), np.hstack([members, np.zeros(population.shape, dtype=bool)])
    together = rated(log_ratio_online, *columns)
    assert together[:80] == pytest.approx(rated(log_ratio_online, found, members), abs=1e-12)
    _, inside, outside = direct_confidences(found, members)
    p_out = expit(population[1:]).mean(axis=0)
    p_in = expit(logit(p_out) + (logit(inside) - logit(outside)).mean())
    assert np.exp(together[80:]) == pytest.approx(expit(population[0]) / ((p_in + p_out) / 2), rel=1e-9)


def test_record_that_all_runs_saw_gets_its_missing_mean_from_the_average_difference() -> None:
    members = np.array([[0, 0], [1, 1], [1, 0]], dtype=bool)
    found = np.array([[1.0, 1], [2.0, 3], [2.0, 1]])  # record 1: logits 3 and 1, a difference of 2; record 0: no out-model
    p_x = (expit(2.0) + expit(0.0)) / 2
    assert rated(log_ratio_online, found, members)[0] == pytest.approx(np.log(expit(1.0) / p_x), abs=1e-12)


def test_confidences_that_round_to_one_are_still_ranked() -> None:
    """The record of which the target is surer than the references comes first; p itself is 1 for both in float64."""
    members = np.array([[0, 0], [1, 1], [0, 0]], dtype=bool)
    found = np.array([[60.0, 40.0], [50.0, 50.0], [50.0, 50.0]])
    assert rated(log_ratio_online, found, members) == pytest.approx([np.exp(-50.0), -np.exp(-40.0)], rel=1e-3)
    for name in ("rmia_online", "rmia_offline"):
        assert SCORERS[name].score(found, members, 0)[0] == 1.0
    assert SCORERS["rmia_online"].score(found, members, 0)[1] == 0.5
