"""Lower bounds on mu of Gaussian differential privacy, from one run's canaries or from error rates.

A mechanism is mu-GDP if telling two neighbouring data sets apart from its output is at least as hard as telling N(0, 1) from
N(mu, 1): no attack has TPR > Phi(Phi^-1(FPR) + mu) (Dong, Roth and Su 2022, "Gaussian differential privacy"). A bound on mu
applies to any mechanism: it shows that the mechanism is not mu-GDP for a smaller mu. The epsilon computed from mu applies
only to mechanisms with the trade-off of a Gaussian, such as full-batch training with Gaussian noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, log_ndtr, ndtr, ndtri

from tckr.metrics.one_run import GUESSED_SHARES, count_correct, num_guesses
from tckr.metrics.results import GaussianBound

CELLS, REFINEMENTS = 32, 7
"""The largest refuted mu is searched in 32 cells, seven times: to a precision of 3e-11 of the range."""

LARGEST_MU = 64.0
"""Above this value both error rates of the best attack are below 1e-200."""

ONE_RUN_METHOD = (
    "Mahloujifar, Melis and Chaudhuri 2024: one run, top and bottom scores guessed in and out, "
    "best of 10 %, 50 % and 100 % of the canaries guessed, Bonferroni over the three"
)
ROC_METHOD = "Clopper-Pearson on FPR and TPR at thresholds fixed on other runs, Bonferroni over rates and thresholds"

ASSUMES_GAUSSIAN = "; the epsilon beside it also that the mechanism's trade-off is a Gaussian's"
ONE_RUN_ASSUMES = f"every canary in or out by a fair coin of its own{ASSUMES_GAUSSIAN}"
ROC_ASSUMES = f"members and others as independent trials, which one training run does not quite make them{ASSUMES_GAUSSIAN}"


def one_run_mu(scores: np.ndarray, coins: np.ndarray, *, confidence: float, delta: float) -> GaussianBound:
    """Return the lower bound on mu at `confidence` from guesses of the canaries' coins by their scores.

    Guesses as in `one_run_epsilon`: for each of `GUESSED_SHARES` the highest scores are guessed in and equally many of the
    lowest out; each share is tested at a third of the error probability. The number of right guesses is compared with the
    complete trade-off curve, so for mechanisms with Gaussian noise the bound is closer to the truth than one on epsilon at
    one delta.

    Args:
        scores: float64 [m], higher = more likely in; may depend on the coins only through the release.
        coins: bool [m], True = in; independent fair coins.
        confidence: confidence of the bound, e.g. 0.95.
        delta: value at which epsilon is computed from mu.
    """
    assert coins.dtype == np.bool_, coins.dtype
    assert scores.shape == coins.shape, (scores.shape, coins.shape)
    assert not np.isnan(scores).any(), "attack scores must be numbers"
    level, found = (1 - confidence) / len(GUESSED_SHARES), 0.0
    for share in GUESSED_SHARES:
        guesses = num_guesses(len(coins), share)
        found = max(found, refuted_mu(count_correct(scores, coins, guesses), guesses, len(coins), level=level))
    return _bound(found, len(coins), confidence, delta, (ONE_RUN_METHOD, ONE_RUN_ASSUMES))


def refuted_mu(correct: int, guesses: int, num_canaries: int, *, level: float) -> float:
    """Return the largest mu that `correct` of `guesses` right guesses about `num_canaries` coins refute at `level`."""
    assert 0 <= correct <= guesses <= num_canaries, (correct, guesses, num_canaries)
    if not guesses:
        return 0.0
    return _largest(lambda mu_G: one_run_refutes(correct, guesses, num_canaries, mu_G, level))


def one_run_refutes(correct: int, guesses: int, num_canaries: int, mu_G: np.ndarray, level: float) -> np.ndarray:
    """Return for every mu whether this many right guesses have probability below `level` under mu-GDP, bool [G].

    The recursion of Mahloujifar et al. 2024 (arXiv 2410.22235) for two answers (k = 2) and guesses on some of the canaries:
    if the probability of `correct` or more were at least `level`, then from i + 1 to i right guesses the mass of right (r)
    and of wrong ones (h) would grow by at least the value of the trade-off curve, and exceed the possible maximum,
    guesses / num_canaries. O(G correct).
    """
    right_G = np.full(len(mu_G), level * correct / num_canaries)
    wrong_G = np.full(len(mu_G), level * (guesses - correct) / num_canaries)
    for i in range(correct - 1, -1, -1):
        grown_G = np.maximum(wrong_G, ndtr(ndtri(np.minimum(right_G, 1.0)) - mu_G))
        right_G = right_G + i / (guesses - i) * (grown_G - wrong_G)
        wrong_G = grown_G
    return right_G + wrong_G > guesses / num_canaries


def mu_from_rates(
    scores: np.ndarray, members: np.ndarray, thresholds: np.ndarray, *, confidence: float, delta: float
) -> GaussianBound:
    """Return the lower bound on mu from error rates at given thresholds: the maximum of Phi^-1(TPR) - Phi^-1(FPR).

    It uses lower Clopper-Pearson ends of TPR and upper ones of FPR, and the same with members and non-members exchanged (an
    attack that answers "not a member"; by symmetry it is the same number). Each end is exceeded with probability
    (1 - confidence) / (2 K) for K thresholds, so the best of them may be chosen on these records.

    Args:
        scores: float64 [N], higher = more likely a member.
        members: true membership, bool [N], of records or groups, with both kinds.
        thresholds: float64 [K], scores above which a record is called a member; determined on other runs, never on these
            records.
        confidence: confidence of the bound, e.g. 0.95.
        delta: value at which epsilon is computed from mu.
    """
    inside, outside = np.sort(scores[members]), np.sort(scores[~members])
    assert len(inside), "no members"
    assert len(outside), "no non-members"
    tail = (1 - confidence) / (2 * len(thresholds))
    true_K = len(inside) - np.searchsorted(inside, thresholds, side="right")
    false_K = len(outside) - np.searchsorted(outside, thresholds, side="right")
    tpr_K, fpr_K = _lower_end(true_K, len(inside), tail), 1 - _lower_end(len(outside) - false_K, len(outside), tail)
    some = (tpr_K > 0) & (fpr_K < 1)
    found = float((ndtri(tpr_K[some]) - ndtri(fpr_K[some])).max(initial=0.0))
    return _bound(found, len(scores), confidence, delta, (ROC_METHOD, ROC_ASSUMES))


def _bound(mu: float, n: int, confidence: float, delta: float, origin: tuple[str, str]) -> GaussianBound:
    """Return the bound with `origin`, its method and assumptions."""
    method, assumes = origin
    return GaussianBound(
        mu=mu, epsilon=epsilon_of(mu, delta), confidence=confidence, delta=delta, n=n, method=method, assumes=assumes
    )


def epsilon_of(mu: float, delta: float) -> float | None:
    """Return the smallest epsilon of a mu-GDP mechanism at `delta` (Dong et al. 2022, corollary 2.13); None for delta 0."""
    if delta == 0:
        return 0.0 if mu == 0 else None
    if delta_of(mu, 0.0) <= delta:
        return 0.0
    high = 1.0
    while delta_of(mu, high) > delta:
        high *= 2
    return float(brentq(lambda epsilon: delta_of(mu, epsilon) - delta, 0.0, high))


def delta_of(mu: float, epsilon: float) -> float:
    """Return the delta of a mu-GDP mechanism at `epsilon`: Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu)."""
    if mu == 0:
        return 0.0
    return float(ndtr(mu / 2 - epsilon / mu) - np.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)))


def _lower_end(counts: np.ndarray, trials: int, tail: float) -> np.ndarray:
    """Return the lower Clopper-Pearson ends, each above the true rate with probability at most `tail`."""
    return np.where(counts > 0, betaincinv(np.maximum(counts, 1), trials - counts + 1, tail), 0.0)


def _largest(refutes: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the largest refuted mu, from below; 0 if even 0 is not refuted. If a mu is refuted, so are smaller ones."""
    low, high = 0.0, LARGEST_MU
    if not refutes(np.zeros(1))[0]:
        return 0.0
    for _ in range(REFINEMENTS):
        ends = np.linspace(low, high, CELLS + 1)
        last = int(np.flatnonzero(refutes(ends))[-1])
        low, high = ends[last], ends[min(last + 1, CELLS)]
    return float(low)
