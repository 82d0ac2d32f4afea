"""Lower bound on epsilon from the canaries of a single training run.

Steinke, Nasr and Jagielski 2023, "Privacy Auditing with One (1) Training Run" (arXiv 2305.08846). Every canary is included
in or excluded from the training set by an independent fair coin. If more coins are guessed right from the result than an
(epsilon, delta)-private training allows, this epsilon is refuted.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, expit
from scipy.stats import binom

from tckr.metrics.results import OneRunBound

GUESSED_SHARES = (0.1, 0.5, 1.0)
"""Shares of the canaries that are guessed, most certain first. Fixed in advance, because a number of guesses chosen with the
coins could give any bound. The best of the three is reported, each tested at a third of the error probability
(Bonferroni)."""

TOLERANCE = 1e-10
METHOD = (
    "Steinke, Nasr and Jagielski 2023: one run, top and bottom scores guessed in and out, "
    "best of 10 %, 50 % and 100 % of the canaries guessed, Bonferroni over the three"
)
ASSUMES = "every canary in or out by a fair coin of its own; nothing of the mechanism"
"""Assumptions of the bound; `gaussian_dp.one_run_mu` gives a larger one for mechanisms with Gaussian noise."""


def one_run_epsilon(scores: np.ndarray, coins: np.ndarray, *, confidence: float, delta: float) -> OneRunBound:
    """Return the lower bound on epsilon at `confidence` from guesses of the canaries' coins by their scores.

    For each of `GUESSED_SHARES`, the highest scores are guessed in and equally many of the lowest out; the others are not
    guessed. The bound is valid for every attack and does not assume that canaries are independent in the model; only
    the coins must be. It exceeds the true epsilon with probability at most 1 - `confidence`.

    Args:
        scores: float64 [m], higher = more likely in. They may depend on the release and on anything independent of the coins
            (such as reference runs with other coins), never on the coins themselves.
        coins: bool [m], True = in; independent fair coins.
        confidence: confidence of the bound, e.g. 0.95.
        delta: delta of the (epsilon, delta) guarantee.
    """
    assert coins.dtype == np.bool_, coins.dtype
    assert scores.shape == coins.shape, (scores.shape, coins.shape)
    assert not np.isnan(scores).any(), "attack scores must be numbers"
    level = (1 - confidence) / len(GUESSED_SHARES)
    found = []
    for share in reversed(GUESSED_SHARES):  # among equal bounds, the one with most guesses
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
    """Return the bound of `one_run_epsilon` if every guess is right: the maximum for this number of canaries."""
    level = (1 - confidence) / len(GUESSED_SHARES)
    guesses = [num_guesses(num_canaries, share) for share in GUESSED_SHARES]
    return max(refuted_epsilon(each, each, num_canaries, level=level, delta=delta) for each in guesses)


def num_guesses(num_canaries: int, share: float) -> int:
    """Return an even number of guesses, half of them in and half out: `share` of the canaries, rounded down."""
    return 2 * int(share * num_canaries / 2 + 1e-9)


def count_correct(scores: np.ndarray, coins: np.ndarray, guesses: int) -> int:
    """Return the number of right guesses: the `guesses / 2` highest scores that are in, and as many lowest that are out.

    Ties are counted in the worst order for the guesser. So the result depends neither on the order of the canaries (in a
    table sorted by the coins, even a useless attack would seem to guess right) nor on a random number, and it is at most
    that of any other way of breaking ties, so the bound is valid.
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
    by_chance = float(betainc(correct, guesses - correct + 1, accuracy)) if correct else 1.0  # P(W >= v)
    if delta == 0 or correct == 0:
        return by_chance
    just_below = np.cumsum(binom.pmf(np.arange(correct - 1, -1, -1), guesses, accuracy))  # i = 1..v; no more mass beyond
    slope = float((just_below / np.arange(1, correct + 1)).max())
    return min(1.0, by_chance + 2 * num_canaries * delta * slope)


def refuted_epsilon(correct: int, guesses: int, num_canaries: int, *, level: float, delta: float) -> float:
    """Return the largest epsilon with a p-value below `level`, from below; 0 if even 0 is not refuted."""

    def excess(epsilon: float) -> float:
        return p_value(correct, guesses, num_canaries, epsilon=epsilon, delta=delta) - level

    if excess(0.0) >= 0:
        return 0.0
    high = 1.0
    while excess(high) < 0:  # terminates, because any number of right guesses becomes likely as epsilon grows
        high *= 2
    return max(0.0, float(brentq(excess, 0.0, high, xtol=TOLERANCE)) - 2 * TOLERANCE)
