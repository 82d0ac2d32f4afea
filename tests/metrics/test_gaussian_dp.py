"""Bounds on mu equal closed forms and a plain version of the published recursion, and hold where mu is known."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import beta, norm

from tckr.metrics.gaussian_dp import (
    delta_of,
    epsilon_of,
    mu_from_rates,
    one_run_mu,
    one_run_refutes,
    refuted_mu,
)
from tckr.metrics.one_run import GUESSED_SHARES, one_run_epsilon
from tckr.metrics.results import GaussianBound
from tests.metrics.coverage import REPETITIONS, at_least

LEVEL = 0.05 / len(GUESSED_SHARES)
NORMAL = NormalDist()


def plainly_refutes(correct: int, guesses: int, num_canaries: int, mu: float, level: float) -> bool:
    """The recursion of arXiv 2410.22235 with lists, as the paper writes it: k = 2, f-DP by its inverse blow-up function."""

    def inverse_blow_up(x: float) -> float:
        return 0.0 if x <= 0 else 1.0 if x >= 1 else NORMAL.cdf(NORMAL.inv_cdf(x) - mu)

    r, h = [0.0] * (correct + 1), [0.0] * (correct + 1)
    r[correct] = level * correct / num_canaries
    h[correct] = level * (guesses - correct) / num_canaries
    for i in reversed(range(correct)):
        h[i] = max(h[i + 1], inverse_blow_up(r[i + 1]))
        r[i] = r[i + 1] + i / (guesses - i) * (h[i] - h[i + 1])
    return r[0] + h[0] > guesses / num_canaries


def gaussian(generator: np.random.Generator, mu: float, canaries: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and coins of a mechanism that is exactly mu-GDP for every canary."""
    coins = generator.random(canaries) < 0.5
    return generator.normal(size=canaries) + mu * coins, coins


@pytest.mark.parametrize(
    ("correct", "guesses", "canaries"), [(0, 7, 9), (5, 7, 7), (30, 40, 400), (77, 100, 100), (60, 60, 90)]
)
def test_the_recursion_equals_a_plain_version(correct: int, guesses: int, canaries: int) -> None:
    mus = np.linspace(0, 4, 41)
    for level in (0.05, 0.01):
        expected = [plainly_refutes(correct, guesses, canaries, mu, level) for mu in mus]
        assert one_run_refutes(correct, guesses, canaries, mus, level).tolist() == expected
    found = refuted_mu(correct, guesses, canaries, level=0.05)
    assert found == 0 or plainly_refutes(correct, guesses, canaries, found, 0.05)
    assert not plainly_refutes(correct, guesses, canaries, found + 1e-8, 0.05)


def test_one_right_guess_about_one_canary_has_its_closed_form() -> None:
    """Phi(mu / 2) is the best chance to guess one coin, so a right guess at level p refutes mu < 2 Phi^-1(p)."""
    for level in (0.6, 0.9, 0.99):
        assert refuted_mu(1, 1, 1, level=level) == pytest.approx(2 * norm.ppf(level), abs=1e-8)
    assert refuted_mu(1, 1, 1, level=0.4) == 0


def test_more_right_guesses_never_give_a_lower_bound_and_half_right_give_none() -> None:
    bounds = [refuted_mu(correct, 60, 100, level=LEVEL) for correct in range(61)]
    assert bounds[30] == 0
    assert bounds[60] > 1
    assert all(later >= earlier for earlier, later in pairwise(bounds))


def test_scores_that_tell_nothing_give_zero_in_any_order() -> None:
    coins = np.arange(400) < 200
    for scores in (np.ones(400), np.random.default_rng(0).normal(size=400), -coins.astype(float)):
        assert one_run_mu(scores, coins, confidence=0.95, delta=1e-5).mu == 0


@pytest.mark.parametrize("mu", [0.0, 1.0, 3.0])
def test_the_one_run_bound_exceeds_the_mu_of_a_gaussian_mechanism_in_few_runs(mu: float) -> None:
    generator = np.random.default_rng(0)
    found = [one_run_mu(*gaussian(generator, mu, 100), confidence=0.95, delta=1e-5).mu for _ in range(REPETITIONS // 4)]
    assert sum(value <= mu for value in found) >= 87  # of 100; fewer than 87 of 95 expected once in 1,000
    if mu:
        assert np.median(found) > 0.2 * mu


def test_of_a_gaussian_mechanism_it_shows_more_than_the_bound_on_epsilon() -> None:
    scores, coins = gaussian(np.random.default_rng(1), 2.0, 1000)
    ours, steinke = (bound(scores, coins, confidence=0.95, delta=1e-5) for bound in (one_run_mu, one_run_epsilon))
    assert isinstance(ours, GaussianBound)
    assert ours.epsilon is not None
    assert steinke.value < ours.epsilon < epsilon_of(2.0, 1e-5)  # type: ignore[operator,union-attr]


def test_epsilon_belongs_to_mu_by_the_closed_form_of_delta() -> None:
    assert delta_of(1.0, 0.0) == pytest.approx(2 * norm.cdf(0.5) - 1)  # total variation of the two normals
    for mu, delta in ((0.3, 1e-5), (1.0, 1e-5), (4.0, 1e-3)):
        epsilon = epsilon_of(mu, delta)
        assert epsilon is not None
        expected = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
        assert expected == pytest.approx(delta, rel=1e-6)
    assert epsilon_of(0.0, 0.0) == 0
    assert epsilon_of(1.0, 0.0) is None
    assert epsilon_of(1e-7, 1e-5) == 0


def test_mu_from_rates_is_the_difference_of_normal_quantiles_of_clopper_pearson_ends() -> None:
    scores = np.concatenate([np.arange(100) < 80, np.arange(200) < 10]).astype(float)
    members = np.arange(300) < 100
    found = mu_from_rates(scores, members, np.array([0.5]), confidence=0.9, delta=1e-5)
    expected = norm.ppf(beta.ppf(0.05, 80, 21)) - norm.ppf(beta.ppf(0.95, 11, 190))
    assert found.mu == pytest.approx(expected)
    assert found.epsilon == epsilon_of(found.mu, 1e-5)
    several = mu_from_rates(scores, members, np.array([0.5, 2.0, -1.0]), confidence=0.9, delta=1e-5)
    assert several.mu == pytest.approx(norm.ppf(beta.ppf(0.05 / 3, 80, 21)) - norm.ppf(beta.ppf(1 - 0.05 / 3, 11, 190)))


@pytest.mark.parametrize("mu", [0.0, 1.5])
def test_the_bound_from_rates_holds_although_the_best_of_ten_thresholds_is_taken(mu: float) -> None:
    generator, thresholds = np.random.default_rng(2), np.linspace(-2, 4, 10)
    members, exceeded = np.arange(600) < 300, 0
    for _ in range(REPETITIONS):
        scores = generator.normal(size=600) + mu * members
        exceeded += mu_from_rates(scores, members, thresholds, confidence=0.95, delta=1e-5).mu > mu
    assert REPETITIONS - exceeded >= at_least()
    assert mu_from_rates(generator.normal(size=600) + 1.5 * members, members, thresholds, confidence=0.95, delta=0).mu > 1
