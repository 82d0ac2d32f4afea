"""What one training run with canaries says about epsilon. Knows neither models nor attacks.

Steinke, Nasr and Jagielski 2023, "Privacy Auditing with One (1) Training Run" (arXiv 2305.08846). Every canary is put into
the training set or left out by a fair coin of its own; who guesses more coins right from the result than an
(epsilon, delta)-private training allows has refuted that epsilon.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from tckr.metrics.results import OneRunBound

GUESSED_SHARES = (0.1, 0.5, 1.0)
"""Shares of the canaries that are guessed, the surest first. Declared, because a number of guesses chosen on the coins would
make any bound: the best of the three is reported, each tested at a third of the error probability (Bonferroni)."""

TOLERANCE = 1e-10
METHOD = (
    "Steinke, Nasr and Jagielski 2023: one run, top and bottom scores guessed in and out, "
    "best of 10 %, 50 % and 100 % of the canaries guessed, Bonferroni over the three"
)
ASSUMES = "every canary in or out by a fair coin of its own; nothing of the mechanism"
"""What must hold for the bound; `gaussian_dp.one_run_mu` gives a larger one for mechanisms with Gaussian noise."""


def one_run_epsilon(scores: np.ndarray, coins: np.ndarray, *, confidence: float, delta: float) -> OneRunBound:
    """Return the epsilon that guessing the canaries' coins from their scores refutes at `confidence`.

    For each of `GUESSED_SHARES` the highest scores are guessed in and equally many of the lowest out; the rest is abstained
    from. The bound holds for every attack, good or bad, and does not assume that canaries are independent of one another in
    the model: only the coins must be. It fails (lies above the true epsilon) with probability at most 1 - `confidence`.

    Args:
        scores: float64 [m], higher = rather in. Any function of what was released and of things that are independent of the
            coins (such as reference runs with coins of their own), never of the coins.
        coins: bool [m], True = in; independent fair coins.
        confidence: of the bound, e.g. 0.95.
        delta: of the (epsilon, delta) guarantee in question.
    """
    assert coins.dtype == np.bool_, coins.dtype
    assert scores.shape == coins.shape, (scores.shape, coins.shape)
    assert not np.isnan(scores).any(), "attack scores must be numbers"
    level = (1 - confidence) / len(GUESSED_SHARES)
    found = []
    for share in reversed(GUESSED_SHARES):  # of equal bounds the one with most guesses
        guesses = num_guesses(len(coins), share)
        correct = count_correct(scores, coins, guesses)
        found.append((refuted_epsilon(correct, guesses, len(coins), level=level, delta=delta), guesses, correct))
    value, guesses, correct = max(found, key=lambda bound: bound[0])
    return OneRunBound(
        value=value,
        confidence=confidence,
        delta=delta,
        num_canaries=len(coins),
        guesses=guesses,
        correct=correct,
        method=METHOD,
        assumes=ASSUMES,
    )


def largest_bound(num_canaries: int, *, confidence: float, delta: float) -> float:
    """Return what `one_run_epsilon` gives when every guess is right: no attack can show more with so few canaries."""
    level = (1 - confidence) / len(GUESSED_SHARES)
    guesses = [num_guesses(num_canaries, share) for share in GUESSED_SHARES]
    return max(refuted_epsilon(each, each, num_canaries, level=level, delta=delta) for each in guesses)


def num_guesses(num_canaries: int, share: float) -> int:
    """Return an even number of guesses, half of them in and half out: `share` of the canaries, rounded down."""
    return 2 * int(share * num_canaries / 2 + 1e-9)


def count_correct(scores: np.ndarray, coins: np.ndarray, guesses: int) -> int:
    """Return how many of the `guesses / 2` highest scores are in, plus how many of as many lowest are out.

    Equal scores count in the order that is worst for the guesser. So the result depends neither on the order of the canaries
    (a table sorted by the coins would answer for an attack that knows nothing) nor on a random number, and it is never more
    than any way of breaking ties would give: the bound stays valid.
    """
    half = guesses // 2
    highest, lowest = np.lexsort((coins, -scores))[:half], np.lexsort((~coins, scores))[:half]
    return int(coins[highest].sum() + (~coins[lowest]).sum())


def p_value(correct: int, guesses: int, num_canaries: int, *, epsilon: float, delta: float) -> float:
    """Return an upper bound of P(`correct` or more right) under (epsilon, delta)-privacy (theorem 5.2, appendix D).

    With W ~ Binomial(r, e^epsilon / (e^epsilon + 1)), v right of r guesses about m canaries:
    P(W >= v) + 2 m delta max_i P(v > W >= v - i) / i, the maximum over i = 1..m. O(v) for delta > 0.
    """
    assert 0 <= correct <= guesses <= num_canaries, (correct, guesses, num_canaries)
    accuracy = expit(epsilon)
    by_chance = float(binom.sf(correct - 1, guesses, accuracy))
    if delta == 0 or correct == 0:
        return by_chance
    just_below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, accuracy))  # i = 1..v; no more mass beyond
    slope = float((just_below / np.arange(1, correct + 1)).max())
    return min(1.0, by_chance + 2 * num_canaries * delta * slope)


def refuted_epsilon(correct: int, guesses: int, num_canaries: int, *, level: float, delta: float) -> float:
    """Return the largest epsilon with a p-value below `level`, from below; 0 when even 0 is not refuted."""

    def excess(epsilon: float) -> float:
        return p_value(correct, guesses, num_canaries, epsilon=epsilon, delta=delta) - level

    if excess(0.0) >= 0:
        return 0.0
    high = 1.0
    while excess(high) < 0:  # ends: as epsilon grows, any number of right guesses becomes likely
        high *= 2
    return max(0.0, float(brentq(excess, 0.0, high, xtol=TOLERANCE)) - 2 * TOLERANCE)
