"""Redraws of the target's members: exact p-values, moments of sums, and one level for many statistics."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from tckr.membership import redraws
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.family import judge_together
from tckr.membership.redraws import (
    double_ranks,
    family_p_values,
    level_of_one,
    moments,
    p_values,
    sums_over_coins,
    sums_over_members,
)
from tests.membership.worlds import evidence, membership, only


def one_stratum(count: int) -> np.ndarray:
    return np.zeros(count, dtype=np.int64)


def test_p_value_of_the_ranks_is_that_of_the_exact_rank_sum_test() -> None:
    generator = np.random.default_rng(0)
    scores, members = generator.normal(size=16), np.arange(16) < 7
    scores[members] += 1
    sums = sums_over_members(members, one_stratum(16), double_ranks(scores)[:, None])
    exact = mannwhitneyu(scores[members], scores[~members], alternative="greater", method="exact").pvalue
    assert p_values(sums)[0, 0] == pytest.approx(exact, abs=4 * (exact / 10_000) ** 0.5)


def test_redraws_keep_the_members_of_every_stratum() -> None:
    strata = np.array([0, 1, 0, 1, 1, 2, 0])
    members = np.array([True, False, False, True, True, False, True])
    weights = np.eye(3)[strata]
    assert (sums_over_members(members, strata, weights) == members @ weights).all()


def test_moments_are_those_of_all_selections() -> None:
    strata, members = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([True, False, True, False, False, True, False])
    weights = np.random.default_rng(0).integers(9, size=(7, 2)).astype(float)
    sums = np.array(
        [weights[[*first, 4 + second]].sum(axis=0) for first in combinations(range(4), 2) for second in range(3)]
    )
    mean, covariance = moments(members, strata, weights)
    assert mean == pytest.approx(sums.mean(axis=0))
    assert covariance == pytest.approx(np.cov(sums.T, bias=True))


def test_coins_are_fair_whatever_the_true_ones_are() -> None:
    sums = sums_over_coins(np.ones(40, dtype=bool), np.ones((40, 1)))
    assert sums[0, 0] == 40
    assert sums[1:].mean() == pytest.approx(20, abs=0.2)
    assert sums[1:].var() == pytest.approx(10, rel=0.1)


def test_coins_of_few_canaries_in_a_large_pool_take_little_memory() -> None:
    generator = np.random.default_rng(0)
    coins, weights = generator.random(5_000) < 0.5, np.zeros((5_000, 2))
    weights[10:50] = generator.choice([-1.0, 1.0], size=(40, 2))
    tracemalloc.start()
    sums = sums_over_coins(coins, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (sums == sums_over_coins(coins[10:50], weights[10:50])).all()
    assert sums[0] == pytest.approx(coins @ weights)
    assert peak < 20e6  # a coin for each record of the pool takes 800 MB


def test_coins_of_many_canaries_are_tossed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    coins, weights = np.arange(30) % 2 == 0, np.eye(30)
    whole = sums_over_coins(coins, weights)
    monkeypatch.setattr(redraws, "CHUNK", 100)
    assert (sums_over_coins(coins, weights) == whole).all()


def test_ties_share_their_p_value() -> None:
    assert p_values(np.array([[2.0], [2.0], [3.0], [1.0]])).tolist() == [[0.75], [0.75], [0.25], [1.0]]


def test_the_family_counts_every_statistic_and_what_they_share() -> None:
    generator = np.random.default_rng(0)
    alone = generator.normal(size=(10_000, 1))
    alone[0] = 2.5
    same, apart = np.repeat(alone, 5, axis=1), np.hstack([alone, generator.normal(size=(10_000, 4))])
    own = p_values(alone)[0, 0]
    assert family_p_values(p_values(same))[0] == pytest.approx(own)  # five copies of one statistic are one
    assert family_p_values(p_values(apart))[0] == pytest.approx(1 - (1 - own) ** 5, rel=0.15)
    assert level_of_one(p_values(apart), 0.05) == pytest.approx(1 - 0.95 ** (1 / 5), rel=0.15)


@pytest.mark.usefixtures("few_redraws")
def test_the_smallest_p_value_holds_its_level_where_nothing_leaks() -> None:
    found = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        members = membership(generator, 1, 60)[0]
        scores = generator.normal(size=(60, 1)) + generator.normal(size=(60, 4))  # attacks that agree in part
        weights = np.stack([double_ranks(column) for column in scores.T], axis=1)
        found.append(family_p_values(p_values(sums_over_members(members, one_stratum(60), weights))).min())
    assert sum(p <= 0.05 for p in found) <= 21  # 10 expected; more than 21 once in 2,000
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


@pytest.mark.usefixtures("few_redraws")
def test_a_leak_shows_where_every_record_is_the_only_one_of_its_class() -> None:
    """Alone in its stratum no record is redrawn: every p-value was 1, and nothing leaked."""
    world = only(evidence(records=200), "teacher")
    alone = replace(world, labels=np.arange(200), class_names=[str(number) for number in range(200)])
    found = judge_together(MembershipConfig(), alone, {}, None)
    assert min(test.family_p_value for test in found.tests["teacher"]) < 0.01


def test_only_records_that_are_alone_in_their_class_leave_it() -> None:
    members = np.tile(np.array([[1, 0, 1, 0, 0, 1, 1, 0, 1, 0]], dtype=bool), (3, 1))
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 3])
    assert Evidence(class_names=list("abcd"), labels=labels, members=members).strata.tolist() == [0] * 4 + [1] * 4 + [4] * 2
