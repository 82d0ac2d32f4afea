"""The one-run bound equals its closed forms and the paper's printed values, and holds where the true epsilon is known."""

from __future__ import annotations

import math
import time
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit, logit

from tckr.metrics.one_run import (
    GUESSED_SHARES,
    count_correct,
    largest_bound,
    num_guesses,
    one_run_epsilon,
    p_value,
    refuted_epsilon,
)
from tckr.metrics.proportions import clopper_pearson
from tests.metrics.coverage import REPETITIONS, at_least

LEVEL = 0.05 / len(GUESSED_SHARES)


def binomial(n: int, k: int, q: float) -> float:
    return math.comb(n, k) * q**k * (1 - q) ** (n - k)


@pytest.mark.parametrize(("correct", "guesses", "epsilon"), [(0, 7, 0.5), (5, 7, 0.0), (30, 40, 1.0), (40, 40, 3.0)])
def test_without_delta_the_p_value_is_a_binomial_tail(correct: int, guesses: int, epsilon: float) -> None:
    q = math.exp(epsilon) / (1 + math.exp(epsilon))
    tail = math.fsum(binomial(guesses, k, q) for k in range(correct, guesses + 1))
    for num_canaries in (guesses, 10 * guesses):
        assert p_value(correct, guesses, num_canaries, epsilon=epsilon, delta=0) == pytest.approx(tail, rel=1e-9)


@pytest.mark.parametrize(("correct", "guesses"), [(1, 1), (9, 20), (15, 20), (20, 20)])
def test_delta_adds_the_steepest_mean_of_the_mass_just_below(correct: int, guesses: int) -> None:
    epsilon, delta, num_canaries = 0.4, 1e-3, 50
    q = expit(epsilon)
    means = [
        sum(binomial(guesses, k, q) for k in range(max(0, correct - i), correct)) / i for i in range(1, num_canaries + 1)
    ]
    tail = sum(binomial(guesses, k, q) for k in range(correct, guesses + 1))
    expected = min(1.0, tail + 2 * num_canaries * delta * max(means))
    assert p_value(correct, guesses, num_canaries, epsilon=epsilon, delta=delta) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("num_canaries", "guesses", "correct", "delta", "printed"),
    [(1000, 100, 75, 1e-4, 0.673), (100_000, 1510, 1439, 1e-5, 2.675)],
)
def test_the_values_printed_in_the_paper_are_reproduced(
    num_canaries: int, guesses: int, correct: int, delta: float, printed: float
) -> None:
    """Appendix D and section 7 of arXiv 2305.08846; one number is rounded and one cut off: a full last digit."""
    assert refuted_epsilon(correct, guesses, num_canaries, level=0.05, delta=delta) == pytest.approx(printed, abs=1e-3)


@pytest.mark.parametrize(("correct", "guesses"), [(70, 100), (95, 100), (512, 600)])
def test_without_delta_epsilon_is_the_logit_of_the_lower_clopper_pearson_end(correct: int, guesses: int) -> None:
    low, _ = clopper_pearson(correct, guesses, 1 - 2 * LEVEL)
    assert refuted_epsilon(correct, guesses, guesses, level=LEVEL, delta=0) == pytest.approx(logit(low), abs=1e-8)


@pytest.mark.parametrize("guesses", [8, 100, 1000])
def test_perfect_guesses_give_their_closed_form(guesses: int) -> None:
    """q^r = p at the bound, so e^epsilon = q / (1 - q) = 1 / (p^(-1/r) - 1)."""
    expected = -math.log(LEVEL ** (-1 / guesses) - 1)
    assert refuted_epsilon(guesses, guesses, guesses, level=LEVEL, delta=0) == pytest.approx(expected, abs=1e-8)
    coins = np.random.default_rng(0).random(guesses) < 0.5
    coins[: guesses // 2], coins[guesses // 2 :] = True, False
    found = one_run_epsilon(coins.astype(float), coins, confidence=0.95, delta=0)
    assert found.value == pytest.approx(expected, abs=1e-8)
    assert (found.guesses, found.correct, found.num_canaries) == (guesses, guesses, guesses)
    assert largest_bound(guesses, confidence=0.95, delta=0) == found.value


def test_five_canaries_can_show_nothing_and_six_can() -> None:
    assert largest_bound(5, confidence=0.95, delta=0) == 0  # four guesses: 1 / 16 > 0.05 / 3
    assert largest_bound(6, confidence=0.95, delta=0) > 0


@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-3])
def test_more_right_guesses_never_give_a_lower_bound(delta: float) -> None:
    bounds = [refuted_epsilon(correct, 60, 100, level=LEVEL, delta=delta) for correct in range(61)]
    assert bounds[30] == 0
    assert bounds[60] > 1
    assert all(later >= earlier for earlier, later in pairwise(bounds))


def test_a_larger_delta_or_more_canaries_behind_the_guesses_never_give_a_higher_bound() -> None:
    by_delta = [refuted_epsilon(90, 100, 1000, level=LEVEL, delta=delta) for delta in (0, 1e-6, 1e-5, 1e-4, 1e-2)]
    by_canaries = [refuted_epsilon(90, 100, canaries, level=LEVEL, delta=1e-5) for canaries in (100, 1000, 10_000)]
    assert by_delta == sorted(by_delta, reverse=True)
    assert by_canaries == sorted(by_canaries, reverse=True)
    assert by_canaries[0] > by_canaries[-1]
    assert by_delta[-1] == 0


def test_guesses_are_counted_by_hand() -> None:
    scores = np.array([5.0, 4, 3, 2, 1, 0])
    coins = np.array([True, True, False, True, False, True])
    assert [count_correct(scores, coins, guesses) for guesses in (0, 2, 4, 6)] == [0, 1, 3, 3]


def test_ties_count_against_the_guesser() -> None:
    coins = np.array([True, False, True, False])
    assert count_correct(np.array([2.0, 1, 1, 0]), coins, 4) == 2  # of the tied the one that is out is guessed in, and back
    assert count_correct(np.zeros(4), coins, 4) == 0


@pytest.mark.parametrize("share", GUESSED_SHARES)
@pytest.mark.parametrize("num_canaries", [0, 5, 10, 99, 100, 1000])
def test_guesses_are_half_in_half_out_and_no_more_than_their_share(share: float, num_canaries: int) -> None:
    found = num_guesses(num_canaries, share)
    assert found % 2 == 0
    assert share * num_canaries - 2 < found <= share * num_canaries


def test_scores_without_signal_give_zero_even_if_the_table_is_sorted_by_the_coins() -> None:
    coins = np.arange(400) < 200
    assert one_run_epsilon(np.ones(400), coins, confidence=0.95, delta=1e-5).value == 0
    noise = np.random.default_rng(0).normal(size=400)
    assert one_run_epsilon(noise, coins, confidence=0.95, delta=1e-5).value == 0
    assert one_run_epsilon(-coins.astype(float), coins, confidence=0.95, delta=1e-5).value == 0


@pytest.mark.parametrize("ties", [False, True])
def test_the_order_of_the_canaries_changes_nothing(ties: bool) -> None:
    generator = np.random.default_rng(1)
    coins = generator.random(300) < 0.5
    scores = 2 * coins + generator.normal(size=300)
    scores = np.round(scores) if ties else scores
    found = one_run_epsilon(scores, coins, confidence=0.95, delta=1e-5)
    assert found.value > 0.3
    for order in (np.argsort(coins), np.argsort(~coins), generator.permutation(300)):
        assert one_run_epsilon(scores[order], coins[order], confidence=0.95, delta=1e-5) == found


def test_a_strictly_rising_change_of_the_scores_changes_nothing() -> None:
    generator = np.random.default_rng(2)
    coins = generator.random(300) < 0.5
    scores = coins + generator.normal(size=300)
    found = one_run_epsilon(scores, coins, confidence=0.95, delta=1e-5)
    assert one_run_epsilon(np.exp(scores), coins, confidence=0.95, delta=1e-5) == found


def randomized_response(generator: np.random.Generator, epsilon: float, canaries: int) -> tuple[np.ndarray, np.ndarray]:
    """Release every coin truly with probability e^eps / (e^eps + 1): exactly epsilon-private; none tells more."""
    coins = generator.random(canaries) < 0.5
    answers = coins ^ (generator.random(canaries) > expit(epsilon))
    return answers + generator.uniform(-0.1, 0.1, canaries), coins


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0, 4.0])
def test_the_bound_exceeds_the_epsilon_of_randomized_response_in_few_runs_and_comes_near(epsilon: float) -> None:
    """Of 20,000 runs each 3.6, 3.6, 3.0 and 0.7 % exceeded; five in a hundred may."""
    generator = np.random.default_rng(3)
    found = [
        one_run_epsilon(*randomized_response(generator, epsilon, 1000), confidence=0.95, delta=0).value
        for _ in range(REPETITIONS)
    ]
    assert sum(value <= epsilon for value in found) >= at_least(0.95)
    assert np.median(found) >= 2 / 3 * epsilon


def test_few_sure_guesses_find_what_few_canaries_give_away() -> None:
    """A tenth of the canaries and a little more is given away; guessing all of them would hide it."""
    generator = np.random.default_rng(4)
    coins = generator.random(2000) < 0.5
    scores = np.where(np.arange(2000) < 240, 10.0 * (coins - 0.5), generator.normal(size=2000))
    found = one_run_epsilon(scores, coins, confidence=0.95, delta=0)
    assert found.guesses == 200
    assert found.value > 3 > refuted_epsilon(count_correct(scores, coins, 2000), 2000, 2000, level=LEVEL, delta=0)


def test_what_delta_allows_is_not_counted_as_epsilon() -> None:
    """Each coin is given away with probability delta: (0, delta)-private. Without that delta the same guesses refute 0."""
    generator, delta = np.random.default_rng(5), 0.03
    exceeded = {0.0: 0, delta: 0}
    for _ in range(50):
        coins = generator.random(2000) < 0.5
        given_away = generator.random(2000) < delta
        scores = np.where(given_away, 10.0 * (coins - 0.5), generator.normal(size=2000))
        for claimed in exceeded:
            exceeded[claimed] += one_run_epsilon(scores, coins, confidence=0.95, delta=claimed).value > 0
    assert exceeded[delta] <= 2
    assert exceeded[0.0] >= 20


def test_a_hundred_thousand_canaries_take_seconds() -> None:
    generator = np.random.default_rng(6)
    coins = generator.random(100_000) < 0.5
    start = time.process_time()
    found = one_run_epsilon(coins + generator.normal(size=100_000), coins, confidence=0.95, delta=1e-5)
    assert time.process_time() - start < 10  # about one; quadratic work would take minutes
    assert found.value > 1
