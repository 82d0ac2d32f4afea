"""Canary bounds: each kind alone, scores that never read the target's coins, and refusal where nothing could be shown."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.artifacts.membership import CANARY_KINDS
from tckr.membership.canaries import canaries_of, canary_bounds, canary_scores
from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.gaussian_dp import one_run_mu
from tckr.metrics.one_run import one_run_epsilon
from tckr.metrics.results import OneRunBound
from tests.membership.worlds import signals

NATURAL, MISLABELLED = CANARY_KINDS["natural"], CANARY_KINDS["mislabelled"]


def kinds_of(records: int, natural: int, mislabelled: int) -> np.ndarray:
    kinds = np.zeros(records, dtype=np.int8)
    kinds[:natural], kinds[natural : natural + mislabelled] = NATURAL, MISLABELLED
    return np.random.default_rng(0).permutation(kinds)


def value(bound: OneRunBound | NotMeasurable) -> float:
    assert isinstance(bound, OneRunBound), bound
    return bound.value


def test_each_kind_is_bounded_by_its_own_canaries_on_every_surface() -> None:
    generator, kinds = np.random.default_rng(1), kinds_of(1000, 200, 200)
    coins, noise = generator.random(1000) < 0.5, generator.normal(size=1000)
    teacher = np.where(kinds == MISLABELLED, 5.0 * coins, 0) + noise
    found = canary_bounds(canaries_of({"teacher": teacher, "student": noise}, coins, kinds), 0.95, 1e-5)
    assert set(found) == {"teacher", "student"}
    assert value(found["teacher"]["mislabelled"]) > 2
    assert value(found["teacher"]["natural"]) == value(found["student"]["natural"]) == 0
    alone = kinds == MISLABELLED
    both = (bound(teacher[alone], coins[alone], confidence=0.95, delta=1e-5) for bound in (one_run_epsilon, one_run_mu))
    epsilon, mu = both
    assert found["teacher"]["mislabelled"] == epsilon.model_copy(update={"gaussian": mu})
    assert mu.mu > 1
    assert "Gaussian" in mu.assumes
    assert "Gaussian" not in epsilon.assumes


def test_ordinary_records_do_not_count() -> None:
    generator, kinds = np.random.default_rng(2), kinds_of(500, 100, 100)
    coins = generator.random(500) < 0.5
    scores = np.where(kinds > 0, coins + generator.normal(size=500), np.nan)
    found = canary_bounds(canaries_of({"adapter": scores}, coins, kinds), 0.95, 1e-5)
    coins[kinds == 0] ^= True
    assert canary_bounds(canaries_of({"adapter": scores}, coins, kinds), 0.95, 1e-5) == found


@pytest.mark.parametrize(("natural", "measurable"), [(0, False), (5, False), (6, True)])
def test_too_few_canaries_are_not_measurable(natural: int, measurable: bool) -> None:
    kinds = kinds_of(50, natural, 20)
    coins = np.arange(50) % 2 == 0
    found = canary_bounds(canaries_of({"student": coins.astype(float)}, coins, kinds), 0.95, 1e-5)["student"]
    assert isinstance(found["mislabelled"], OneRunBound)
    assert isinstance(found["natural"], OneRunBound if measurable else NotMeasurable)
    if not measurable:
        assert f"{natural} canaries" in str(found["natural"])
        assert "raise prepare.num_canaries" in str(found["natural"])


def test_a_score_is_the_signal_above_its_mean_in_runs_that_left_the_canary_out() -> None:
    kinds = np.array([NATURAL, 0, NATURAL, MISLABELLED], dtype=np.int8)
    signals_RN = np.array([[5.0, 9, 7, 1], [1, 9, 8, 0], [2, 9, 4, 4], [6, 9, 6, 2]])
    members_RN = np.array([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=bool)
    found = canary_scores(signals_RN, members_RN, kinds)
    assert found[[0, 2, 3]].tolist() == [5 - 1.5, 7 - 5.0, 1 - 3.0]
    assert np.isnan(found[1])


def test_a_canary_that_no_reference_run_left_out_is_moved_by_the_effect_on_its_own_kind() -> None:
    kinds = np.array([NATURAL, NATURAL, MISLABELLED], dtype=np.int8)
    signals_RN = np.array([[5.0, 7, 1], [4, 8, -20], [1, 8, 50]])
    members_RN = np.array([[0, 0, 0], [1, 1, 0], [0, 1, 1]], dtype=bool)
    assert canary_scores(signals_RN, members_RN, kinds).tolist() == [5 - 1.0, 7 - (8 - 3.0), 1 - (-20)]


def test_scores_never_read_the_targets_coins() -> None:
    generator, kinds = np.random.default_rng(3), kinds_of(300, 100, 100)
    members = generator.random((5, 300)) < 0.5
    answers = signals(generator, members, 1.0)
    found = canary_scores(answers, members, kinds)
    members[0] ^= True
    assert np.array_equal(canary_scores(answers, members, kinds), found, equal_nan=True)


def test_without_reference_runs_the_score_is_the_signal() -> None:
    kinds = kinds_of(30, 10, 10)
    answers = np.random.default_rng(4).normal(size=(1, 30))
    found = canary_scores(answers, np.ones((1, 30), dtype=bool), kinds)
    assert (found[kinds > 0] == answers[0, kinds > 0]).all()


def test_reference_runs_find_what_the_signal_alone_does_not() -> None:
    """Records differ among one another three times as much as a model's noise."""
    generator, kinds = np.random.default_rng(5), kinds_of(1000, 500, 500)
    members = generator.random((9, 1000)) < 0.5
    answers = signals(generator, members, 2.0, record_spread=6.0)
    scores = {rows: canary_scores(answers[:rows], members[:rows], kinds) for rows in (1, 9)}
    found = {
        rows: canary_bounds(canaries_of({"teacher": each}, members[0], kinds), 0.95, 1e-5) for rows, each in scores.items()
    }
    assert value(found[9]["teacher"]["natural"]) > 1 > value(found[1]["teacher"]["natural"])
