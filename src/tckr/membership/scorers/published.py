"""BaVarIA and LiRA as published: one global mean and variance for each side (Brännvall 2026, arXiv 2603.11799).

Each side (runs trained on a record, runs not trained on it) has the normal-inverse-gamma prior with the mean m0 and
variance v0 of all its signals, for every record: kappa0 = 1, alpha0 = 2 (BaVarIA-t) or 1 (BaVarIA-n), beta0 = v0. From n
runs with mean m and squares Q around it follow kappa = 1 + n, alpha = alpha0 + n/2, beta = v0 + Q/2 + n (m - m0)^2 / (2
kappa).

- t: Student's t with 2 alpha degrees of freedom at (m0 + n m) / kappa, squared scale beta (kappa + 1) / (alpha kappa).
- n: the normal at m, not at the posterior mean, with variance beta / (alpha - 1), the posterior mean of the variance;
without runs, the normal N(m0, v0).

The paper states beta0 = v0 (alpha0 - 1), which is v0 for t and would be 0 for n. The published scores of the n form follow
from beta0 = v0 and the normal above: `benchmarks/published_scores.py` compares all scores here with the published ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, log_ndtr

from tckr.membership.scorers.lira import log_normal
from tckr.membership.scorers.references import Tally, filled_means, of_counts, variance_floor

KAPPA = 1.0
"""Number of runs that the prior's mean counts for."""

ALPHA_T, ALPHA_N = 2.0, 1.0
"""Shape parameters of the prior of a variance: for BaVarIA-t and for BaVarIA-n."""


@dataclass(frozen=True)
class Overall:
    """Mean and variance of all signals of one side, over all records."""

    mean: float
    variance: float


def overall(side: Tally, other: Tally) -> Overall:
    """Return the moments of all signals of `side`, or of `other` if `side` has no run at all."""
    found = side if side.count.any() else other
    runs = float(found.count.sum())
    mean = float((found.count * found.mean).sum()) / runs
    squares = float((found.squares + found.count * (found.mean - mean) ** 2).sum())
    return Overall(mean, max(squares / runs, float(np.median(variance_floor(side, other)))))


def bavaria_t_online(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return the log ratio of the predictive densities of BaVarIA-t."""
    seen, unseen = overall(inside, outside), overall(outside, inside)
    return log_student_t(inside, seen, signal) - log_student_t(outside, unseen, signal)


def bavaria_t_offline(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return the same, with the prior's predictive density for models trained on the record.

    Of the runs trained on a record, only the two moments of all their signals are used, not this record's signals.
    """
    seen, unseen = overall(inside, outside), overall(outside, inside)
    return log_student_t(_no_runs(signal), seen, signal) - log_student_t(outside, unseen, signal)


def bavaria_n_online(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return the log ratio of the densities of BaVarIA-n."""
    seen, unseen = overall(inside, outside), overall(outside, inside)
    return log_stabilized_normal(inside, seen, signal) - log_stabilized_normal(outside, unseen, signal)


def bavaria_n_offline(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return the same, with the prior's normal for models trained on the record."""
    seen, unseen = overall(inside, outside), overall(outside, inside)
    return log_stabilized_normal(_no_runs(signal), seen, signal) - log_stabilized_normal(outside, unseen, signal)


def lira_online_global_variance(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return LiRA's log ratio with one variance per side: that of all its signals, including differences between records.

    This is the fixed variance of LiRA's own code (Carlini et al. 2022): a standard deviation over records and models at
    once.
    """
    mean_in, mean_out = filled_means(inside, outside)
    seen, unseen = overall(inside, outside), overall(outside, inside)
    return log_normal(signal, mean_in, seen.variance) - log_normal(signal, mean_out, unseen.variance)


def lira_offline_global_variance(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return log P(a model not trained on the record gives at most s), with one variance for all records.

    This is the form of the published scores. It ranks records as `lira_offline_fixed_variance` does, -log P(at least s).
    """
    mean = filled_means(inside, outside)[1]
    return log_ndtr((signal - mean) / overall(outside, inside).variance ** 0.5)


def log_student_t(side: Tally, prior: Overall, signal: np.ndarray) -> np.ndarray:
    """Return the log density of the predictive Student's t of one side at `signal` [N]."""
    kappa, alpha = KAPPA + side.count, ALPHA_T + side.count / 2
    centre = (KAPPA * prior.mean + side.count * side.mean) / kappa
    freedom, scale = 2 * alpha, _beta(side, prior) * (kappa + 1) / (alpha * kappa)
    constant = of_counts(_log_gammas, side.count) - 0.5 * np.log(freedom * np.pi * scale)
    return constant - (freedom + 1) / 2 * np.log1p((signal - centre) ** 2 / (freedom * scale))


def _log_gammas(count: np.ndarray) -> np.ndarray:
    """Return the logarithm of the gamma functions in the density, where so many runs are known."""
    alpha = ALPHA_T + count / 2
    return gammaln(alpha + 0.5) - gammaln(alpha)


def log_stabilized_normal(side: Tally, prior: Overall, signal: np.ndarray) -> np.ndarray:
    """Return the log density of the normal of one side at `signal` [N]."""
    known, excess = side.count > 0, ALPHA_N - 1 + side.count / 2
    mean = np.where(known, side.mean, prior.mean)
    variance = np.where(known, _beta(side, prior) / np.where(known, excess, 1.0), prior.variance)
    return log_normal(signal, mean, variance)


def _beta(side: Tally, prior: Overall) -> np.ndarray:
    """Return the scale of the inverse gamma of every record's variance given its runs, [N]."""
    shift = KAPPA * side.count * (side.mean - prior.mean) ** 2 / (2 * (KAPPA + side.count))
    return prior.variance + side.squares / 2 + shift


def _no_runs(signal: np.ndarray) -> Tally:
    return Tally(*np.zeros((3, len(signal))))
