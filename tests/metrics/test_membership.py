from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import beta, binom, norm

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import (
    auc,
    auc_by_class,
    auc_difference,
    balanced_accuracy,
    epsilon_lower_bound,
    members_above,
    roc_points,
    tpr_at_fpr,
)
from tests.metrics.coverage import REPETITIONS, at_least, at_most, coverage


def gaussian(generator: np.random.Generator, distance: float, members: int, others: int) -> tuple[np.ndarray, np.ndarray]:
    truth = np.arange(members + others) < members
    return generator.normal(size=len(truth)) + distance * truth, truth


def estimate(measured: Measured) -> Estimate:
    assert isinstance(measured, Estimate), measured
    return measured


def test_auc_of_gaussian_scores_has_its_closed_form() -> None:
    found = estimate(auc(*gaussian(np.random.default_rng(0), 1.0, 20_000, 20_000), 0.95))
    assert found.value == pytest.approx(norm.cdf(1 / 2**0.5), abs=0.006)
    assert found.covers(norm.cdf(1 / 2**0.5))
    assert found.n == 40_000


def test_auc_counts_pairs_and_half_the_ties() -> None:
    scores, truth = np.array([3.0, 1, 1, 2, 1, 0]), np.array([True, True, True, False, False, False])
    pairs = [(m > o) + 0.5 * (m == o) for m in scores[truth] for o in scores[~truth]]
    assert estimate(auc(scores, truth, 0.95)).value == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(("value", "members", "others"), [(0.5, 650, 650), (0.62, 650, 650), (0.8, 900, 60)])
def test_auc_interval_covers_and_is_not_too_wide(value: float, members: int, others: int) -> None:
    distance = norm.ppf(value) * 2**0.5
    covered = coverage(lambda g: auc(*gaussian(g, distance, members, others), 0.95), value)
    assert at_least() <= covered <= at_most()


@pytest.mark.parametrize(("value", "members", "others"), [(0.999, 650, 650), (0.99, 1000, 30), (0.95, 12, 12), (0.6, 8, 8)])
def test_auc_interval_covers_near_one_and_with_few_records(value: float, members: int, others: int) -> None:
    distance = norm.ppf(value) * 2**0.5
    assert coverage(lambda g: auc(*gaussian(g, distance, members, others), 0.95), value) >= at_least()


def test_auc_interval_covers_with_many_ties() -> None:
    value = 0.5 + 0.5 * (0.3 * 0.8 - 0.7 * 0.2)  # scores 0/1: P(1 | member) = 0.3, P(1 | other) = 0.2

    def draw(generator: np.random.Generator) -> Measured:
        truth = np.arange(400) < 200
        return auc((generator.random(400) < np.where(truth, 0.3, 0.2)).astype(float), truth, 0.95)

    assert at_least() <= coverage(draw, value) <= at_most()


@pytest.mark.parametrize("scores", [np.zeros(40), np.arange(40.0), -np.arange(40.0)])
def test_auc_at_its_extremes_keeps_a_width(scores: np.ndarray) -> None:
    found = estimate(auc(scores, np.arange(40) >= 20, 0.95))
    assert found.value in (0.0, 0.5, 1.0)
    assert found.high - found.low > 0.1


def test_auc_with_one_record_of_a_kind_says_next_to_nothing() -> None:
    found = estimate(auc(np.array([1.0, 0.0, 0.5]), np.array([True, False, False]), 0.95))
    assert found.low == pytest.approx(0.025)
    assert isinstance(auc(np.ones(3), np.ones(3, dtype=bool), 0.95), NotMeasurable)


def test_relabelling_mirrors_auc_and_roc() -> None:
    scores, truth = gaussian(np.random.default_rng(1), 0.7, 60, 40)
    found, mirrored = estimate(auc(scores, truth, 0.95)), estimate(auc(scores, ~truth, 0.95))
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low))
    swapped = [(tpr, fpr) for fpr, tpr in roc_points(scores, truth)]
    assert roc_points(scores, ~truth) == pytest.approx(np.array(swapped))


def test_order_of_records_changes_nothing() -> None:
    scores, truth = gaussian(np.random.default_rng(2), 0.7, 60, 40)
    order = np.random.default_rng(3).permutation(100)
    assert auc(scores, truth, 0.95) == auc(scores[order], truth[order], 0.95)
    assert tpr_at_fpr(scores, truth, 0.1, 0.95) == tpr_at_fpr(scores[order], truth[order], 0.1, 0.95)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_paired_auc_difference_covers(shared: float) -> None:
    def draw(generator: np.random.Generator) -> Measured:
        scores, truth = gaussian(generator, 0.0, 150, 150)
        other = shared * scores + (1 - shared**2) ** 0.5 * generator.normal(size=300)
        return auc_difference(scores + 0.8 * truth, other + 0.5 * truth, truth, 0.95)

    truth = norm.cdf(0.8 / 2**0.5) - norm.cdf(0.5 / 2**0.5)
    assert at_least() <= coverage(draw, truth) <= at_most()


def test_difference_of_two_perfect_attacks_keeps_a_width() -> None:
    truth = np.arange(40) >= 20
    found = estimate(auc_difference(np.arange(40.0), truth.astype(float), truth, 0.95))
    assert found.low < found.value == 0 < found.high


def test_tpr_of_gaussian_scores_has_its_closed_form() -> None:
    scores, truth = gaussian(np.random.default_rng(4), 1.0, 50_000, 50_000)
    for rate in (0.1, 0.01):
        assert estimate(tpr_at_fpr(scores, truth, rate, 0.95)).value == pytest.approx(norm.sf(norm.isf(rate) - 1), abs=0.01)


@pytest.mark.parametrize(("rate", "size"), [(0.1, 300), (0.01, 600), (0.001, 4000)])
def test_tpr_interval_covers_the_rate_at_the_true_threshold(rate: float, size: int) -> None:
    """The threshold that `rate` of all non-members pass is only estimated; at it, normals 1.5 apart have a closed form."""

    def draw(generator: np.random.Generator) -> Measured:
        return tpr_at_fpr(*gaussian(generator, 1.5, size, size), rate, 0.95)

    covered = coverage(draw, float(norm.sf(norm.isf(rate) - 1.5)))
    assert covered >= at_least()  # with the threshold taken as known 51 % at FPR 1 %
    assert covered <= at_most(0.985)


def test_tpr_where_the_threshold_may_be_above_all_non_members_begins_at_zero() -> None:
    found = estimate(tpr_at_fpr(*gaussian(np.random.default_rng(0), 3.0, 200, 300), 0.01, 0.95))  # 3 expected above it
    assert found.low == 0 < found.value
    assert estimate(tpr_at_fpr(*gaussian(np.random.default_rng(0), 3.0, 200, 500), 0.01, 0.95)).low > 0


def test_tpr_is_counted_by_hand() -> None:
    others, members = np.arange(10.0), np.array([8.5, 9.0, 9.5, 20.0, -1.0])
    found = estimate(tpr_at_fpr(np.append(members, others), np.arange(15) < 5, 0.1, 0.95))
    assert (found.value, found.n) == (4 / 5, 5)  # the threshold is 8: one of ten non-members is above it
    # Of ten non-members K ~ Binomial(10, 0.1) pass the true threshold: none with 35 %, so it may be above them all. Members
    # above the first, second, ... non-member: 2 (9.0 is tied), 4, ..., and 5 above none of them, when all ten pass.
    most = np.array([2] + [4] * 9 + [5])
    beyond = np.where(most < 5, beta.sf(found.high, most + 1, np.maximum(5 - most, 1)), 1)
    chance = binom.pmf(np.arange(11), 10, 0.1) @ beyond
    assert (found.low, chance) == (0, pytest.approx(0.025, rel=1e-6))
    assert "1 of 10 non-members" in found.method


@pytest.mark.parametrize("digits", [1, 9])
@pytest.mark.parametrize(("rate", "others"), [(0.01, 5000), (0.01, 100), (0.5, 10)])
def test_members_above_each_non_member_are_counted_where_only_the_highest_are_sorted(
    rate: float, others: int, digits: int
) -> None:
    generator = np.random.default_rng(others)
    inside, outside = (np.round(generator.normal(size=size), digits) for size in (400, others))
    highest, found = members_above(inside, outside, rate)
    assert highest.tolist() == np.sort(outside)[::-1][: len(highest)].tolist()
    assert found[: len(highest) + 1].tolist() == [0, *((inside > each).sum() for each in highest)]
    assert len(found) > binom.isf(1e-9, others, rate) + 1
    assert len(found) == len(highest) + 1 or (len(highest) == others and found[-1] == 400)


def test_tied_non_members_never_exceed_the_rate() -> None:
    scores, truth = np.array([1.0] * 10 + [2.0] * 10), np.arange(20) >= 10
    assert estimate(tpr_at_fpr(scores, truth, 0.1, 0.95)).value == 1.0
    assert estimate(tpr_at_fpr(np.zeros(20), truth, 0.1, 0.95)).value == 0.0


def test_low_fpr_with_few_non_members_is_not_measurable() -> None:
    scores, truth = gaussian(np.random.default_rng(5), 1.0, 50, 99)
    assert isinstance(tpr_at_fpr(scores, truth, 0.1, 0.95), Estimate)
    found = tpr_at_fpr(scores, truth, 0.01, 0.95)
    assert isinstance(found, NotMeasurable)
    assert "needs 100 non-members" in found.reason
    assert "found 99" in found.reason


def test_balanced_accuracy_covers_at_a_fixed_threshold() -> None:
    truth = (norm.sf(0.5 - 1) + norm.cdf(0.5)) / 2
    assert at_least() <= coverage(lambda g: balanced_accuracy(*gaussian(g, 1.0, 200, 300), 0.5, 0.95), truth) <= at_most()


def test_epsilon_bound_stays_below_the_truth_of_randomized_response() -> None:
    generator, epsilon, exceeded, tight = np.random.default_rng(6), 1.0, 0, 0.0
    for _ in range(REPETITIONS):
        truth = np.arange(2000) < 1000
        answers = np.where(generator.random(2000) < np.exp(epsilon) / (1 + np.exp(epsilon)), truth, ~truth)
        bound = epsilon_lower_bound(answers.astype(float), truth, 0.5, 0.95, 0.0).value
        exceeded += bound > epsilon
        tight = max(tight, bound)
    assert exceeded <= REPETITIONS - at_least()
    assert tight > 0.8


def test_epsilon_bound_by_hand() -> None:
    scores, truth = np.arange(200.0), np.arange(200) >= 100
    found = epsilon_lower_bound(scores, truth, 99.5, 0.95, 1e-5)
    rate = 1 - 0.025 ** (1 / 100)  # upper Clopper-Pearson end of 0 of 100
    assert found.value == pytest.approx(np.log((1 - 1e-5 - rate) / rate))
    assert (found.true_positives, found.false_positives) == (100, 0)
    assert epsilon_lower_bound(scores, truth, 500.0, 0.95, 1e-5).value == 0


def test_auc_by_class_uses_the_records_of_the_class() -> None:
    scores, truth, labels = np.array([1.0, 0, 0, 1, 5]), np.array([1, 0, 1, 0, 1], dtype=bool), np.array([0, 0, 1, 1, 2])
    found = auc_by_class(scores, truth, labels, ["a", "b", "c"], 0.95)
    assert [getattr(found[name], "value", None) for name in "abc"] == [1.0, 0.0, None]


def test_roc_points_are_few_and_keep_the_low_end() -> None:
    scores, truth = gaussian(np.random.default_rng(7), 1.0, 20_000, 20_000)
    start = time.process_time()
    points = roc_points(scores, truth)
    assert time.process_time() - start < 1
    assert len(points) <= 400
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert sum(0 < fpr < 1e-3 for fpr, _ in points) >= 15
    assert points == sorted(points)
