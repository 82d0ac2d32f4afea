"""Rates at low FPR and PPV: by hand, and that their intervals cover the truth of two normals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.low_fpr import (
    PRIORS,
    pooled_tpr_at_fpr,
    ppv_at_fpr,
    ppv_at_threshold,
    rates_at_threshold,
    threshold_at_fpr,
    tpr_at_reference_fpr,
)
from tests.membership.worlds import membership
from tests.metrics.coverage import at_least, coverage


def normals(generator: np.random.Generator, rows: int, records: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and membership [rows, records]: N(shift, 1) for members, N(0, 1) for others."""
    members = membership(generator, rows, records)
    return generator.normal(size=members.shape) + shift * members, members


def test_the_threshold_is_the_lowest_that_so_many_of_all_non_members_pass() -> None:
    scores = np.array([[1.0, 2, 3, 9], [4.0, 5, 6, 9]])
    members = np.array([[False, False, False, True]] * 2)
    assert threshold_at_fpr(scores, members, 1 / 3) == 4.0  # 5 and 6 of the six pass
    assert threshold_at_fpr(scores, members, 0.1) is None


def test_rates_are_counted_above_the_threshold() -> None:
    tpr, fpr = rates_at_threshold(np.array([3.0, 1, 2, 0]), np.array([True, True, False, False]), 1.5, 0.95)
    assert isinstance(tpr, Estimate)
    assert isinstance(fpr, Estimate)
    assert (tpr.value, fpr.value) == (0.5, 0.5)
    assert tpr.low == pytest.approx(beta.ppf(0.025, 1, 2))


def test_thresholds_of_the_reference_runs_make_a_rate_measurable_that_one_run_is_too_small_for() -> None:
    scores, members = normals(np.random.default_rng(0), 9, 400, 3.0)
    found = tpr_at_reference_fpr(scores[0], members[0], scores[1:], members[1:], rate=0.001, confidence=0.95)
    assert isinstance(found, Estimate)
    assert found.value == (scores[0][members[0]] > threshold_at_fpr(scores[1:], members[1:], 0.001)).mean()
    alone = tpr_at_reference_fpr(scores[0], members[0], scores[1:2], members[1:2], rate=0.001, confidence=0.95)
    assert isinstance(alone, NotMeasurable)
    assert "1000 non-members" in str(alone)


def test_the_pooled_rate_takes_the_threshold_of_each_run_from_the_others() -> None:
    scores, members = normals(np.random.default_rng(1), 6, 200, 2.0)
    for rate in (0.01, 0.1):
        expected = []
        for run in range(6):
            others = np.arange(6) != run
            threshold = threshold_at_fpr(scores[others], members[others], rate)
            expected.append((scores[run][members[run]] > threshold).mean())
        found = pooled_tpr_at_fpr(scores, members, rate, 0.95)
        assert isinstance(found, Estimate)
        assert found.value == pytest.approx(np.mean(expected))
        assert found.n == 6


@pytest.mark.parametrize("digits", [0, 1, 9])
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_the_pooled_rate_is_that_of_sorted_scores(rate: float, digits: int) -> None:
    """Only the highest scores are sorted; with ties and with runs of unequal numbers of members."""
    generator = np.random.default_rng(digits)
    members = generator.random((5, 300)) < np.array([[0.2], [0.5], [0.5], [0.8], [0.4]])
    scores = np.round(generator.normal(size=members.shape) + members, digits)
    found = []
    for run in range(5):
        others = np.arange(5) != run
        outside = np.sort(scores[others][~members[others]])[::-1]
        found.append((scores[run][members[run]] > outside[int(rate * len(outside) + 1e-9)]).mean())
    pooled = pooled_tpr_at_fpr(scores, members, rate, 0.95)
    assert isinstance(pooled, Estimate)
    assert pooled.value == pytest.approx(np.mean(found), abs=1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.002])
def test_the_pooled_rate_covers_that_of_two_normals(rate: float) -> None:
    def draw(generator: np.random.Generator) -> Measured:
        return pooled_tpr_at_fpr(*normals(generator, 9, 200, 1.5), rate, 0.95)

    assert coverage(draw, norm.sf(norm.isf(rate) - 1.5)) >= at_least()


def test_the_pooled_rate_covers_where_runs_leak_by_different_amounts() -> None:
    def draw(generator: np.random.Generator) -> Measured:
        members = membership(generator, 17, 300)
        shift = 1.5 + 0.4 * generator.normal(size=(17, 1))
        return pooled_tpr_at_fpr(generator.normal(size=members.shape) + shift * members, members, 0.05, 0.95)

    truth = norm.sf((norm.isf(0.05) - 1.5) / (1 + 0.4**2) ** 0.5)
    assert coverage(draw, truth) >= at_least()


def test_runs_that_differ_make_a_wider_interval_and_inflation_a_wider_one_still() -> None:
    generator = np.random.default_rng(2)
    scores, members = normals(generator, 9, 400, 1.5)
    apart = scores + np.linspace(-1, 1, 9)[:, None] * members
    widths = []
    for values, inflation in ((scores, 1.0), (apart, 1.0), (apart, 2.5)):
        found = pooled_tpr_at_fpr(values, members, 0.05, 0.95, inflation=inflation)
        assert isinstance(found, Estimate)
        widths.append(found.high - found.low)
    assert widths[1] > 1.5 * widths[0]
    assert widths[2] > 1.3 * widths[1]


def test_one_run_or_too_few_non_members_are_not_measurable() -> None:
    scores, members = normals(np.random.default_rng(3), 4, 100, 1.0)
    assert isinstance(pooled_tpr_at_fpr(scores[:1], members[:1], 0.1, 0.95), NotMeasurable)
    assert "1000 non-members" in str(pooled_tpr_at_fpr(scores, members, 0.001, 0.95))


def test_ppv_at_a_prior_is_bayes_rule() -> None:
    tpr = Estimate(0.5, 0.4, 0.6, 100, "by hand")
    even, rare = (ppv_at_fpr(tpr, 0.01, PRIORS[prior]) for prior in ("1:1", "1:100"))
    assert isinstance(even, Estimate)
    assert isinstance(rare, Estimate)
    assert even.value == pytest.approx(0.5 / 0.51)
    assert rare.value == pytest.approx(0.5 / (0.5 + 100 * 0.01))
    assert (rare.low, rare.high) == pytest.approx((0.4 / 1.4, 0.6 / 1.6))
    assert isinstance(ppv_at_fpr(NotMeasurable("no"), 0.01, 0.5), NotMeasurable)


def test_ppv_of_a_threshold_moves_the_odds_of_the_set_to_the_prior() -> None:
    scores = np.concatenate([np.arange(100) < 30, np.arange(400) < 10]).astype(float)
    members = np.arange(500) < 100
    for prior in PRIORS.values():
        found = ppv_at_threshold(scores, members, 0.5, prior, 0.95)
        assert isinstance(found, Estimate)
        assert found.value == pytest.approx(prior * 0.3 / (prior * 0.3 + (1 - prior) * 0.025))
        assert found.n == 40
    assert isinstance(ppv_at_threshold(scores, members, 2.0, 0.5, 0.95), NotMeasurable)


@pytest.mark.parametrize("prior", PRIORS.values())
def test_ppv_covers_that_of_two_normals(prior: float) -> None:
    threshold = norm.isf(0.02)
    tpr = norm.sf(threshold - 1.0)
    truth = prior * tpr / (prior * tpr + (1 - prior) * 0.02)

    def draw(generator: np.random.Generator) -> Measured:
        scores, members = normals(generator, 1, 1000, 1.0)
        return ppv_at_threshold(scores[0], members[0], threshold, prior, 0.95)

    assert coverage(draw, truth) >= at_least()
