"""BaVarIA: Bayesian likelihood ratios for few reference runs (Brännvall 2026, arXiv 2603.11799).

LiRA needs many runs to estimate each record's mean and variance; with few it must choose between noisy ones and one for
all. BaVarIA puts a conjugate normal-inverse-gamma prior on them and scores with the predictive Student's t (its BaVarIA-t),
which moves from the global to the individual estimate as runs are added. The updates are the textbook ones (Murphy 2007,
"Conjugate Bayesian analysis of the Gaussian distribution", section 6). A record's signal, with mean m and variance v of that
record, is modelled as

    not trained on: N(m, v)    trained on: N(m + d, ratio v)
    m flat    d ~ N(gap, spread v)    v ~ freedom scale / chi2(freedom)

Departures from the paper: the five numbers of the prior are estimated from all records together (empirical Bayes),
without the attacked run; `freedom` and `scale` as in Smyth (2004), "Linear models and empirical Bayes methods for assessing
differential expression in microarray experiments", section 6.2. The two sides are also tied: they share v up to one `ratio`,
and their means inform one another, because few runs estimate a record's level much better than its change with membership.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, gammaln, stdtr, zeta

from tckr.membership.scorers.references import (
    Tally,
    average_gap,
    filled_means,
    of_counts,
    total_variance,
    variance_floor,
)

MAX_FREEDOM = 1e6
"""Degrees of freedom that equal a variance that is the same for all records."""

MAX_RATIO = 1e4
"""Bound of the ratio of the sides' variances, so that reference runs that agree exactly do not cause division by zero."""

SMALLEST_SHARE = 1e-6
"""Share of the typical variance; smaller ones are raised to it, so that one zero does not decide the prior."""

SMALLEST_TAIL = 1e-290
"""Limit below which float64 ends; the expansion of a tail probability is exact to 1e-5 in its logarithm there."""


@dataclass(frozen=True)
class Prior:
    """The five numbers of the model above; `freedom` and `scale` of the records' variances v."""

    gap: float
    ratio: float
    spread: float
    freedom: float
    scale: float


@dataclass(frozen=True)
class Variances:
    """The posterior of every record's v given its runs: freedom scale / chi2(freedom); each [N]."""

    freedom: np.ndarray
    scale: np.ndarray


def bavaria_online(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return log t(s; in) - log t(s; out), the ratio of the predictive densities.

    With many runs it is LiRA's log ratio with v from the runs of both sides. Records with runs on only one side need no
    special case: the prior supplies the missing mean.
    """
    return log_predictive_ratio(estimated_prior(inside, outside), inside, outside, signal)


def bavaria_offline(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return -log P(a model not trained on the record gives at least s) under the predictive t of those models alone.

    LiRA's offline score (Carlini et al. 2022, eq. 4) with BaVarIA's distribution. The prior on m is flat; if there is no
    such run, m is filled as in LiRA and counts as one run.
    """
    typical = typical_variance(outside.squares, outside.freedom, inside, outside)
    freedom, scale = variance_prior(outside.squares, outside.freedom, typical)
    known = posterior(freedom, scale, outside.squares, outside.freedom, variance_floor(inside, outside))
    width = known.scale * (1 + 1 / np.maximum(outside.count, 1))
    mean = filled_means(inside, outside)[1]
    return -log_upper_tail((signal - mean) / np.sqrt(width), known.freedom)


def estimated_prior(inside: Tally, outside: Tally) -> Prior:
    """Return the prior estimated from all records; `spread`: how much their gaps vary beyond the errors of their means."""
    gap, ratio = average_gap(inside, outside), variance_ratio(inside, outside)
    squares, freedom = inside.squares / ratio + outside.squares, inside.freedom + outside.freedom
    typical = typical_variance(squares, freedom, inside, outside)
    surprise, error = _gap_squares(inside, outside, gap, ratio)
    spread = max(float(surprise.mean()) / typical - float(error.mean()), 0.0) if len(error) else 0.0
    return Prior(gap, ratio, spread, *variance_prior(squares, freedom, typical))


def log_predictive_ratio(prior: Prior, inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return the log ratio of the densities at `signal` [N], from the prior and the runs of each record."""
    squares, freedom = inside.squares / prior.ratio + outside.squares, inside.freedom + outside.freedom
    surprise, error = _gap_squares(inside, outside, prior.gap, prior.ratio)
    both = _seen_and_not(inside, outside)
    squares[both] += surprise / (prior.spread + error)
    known = posterior(prior.freedom, prior.scale, squares, freedom + both, variance_floor(inside, outside))

    weight_in, weight_out = inside.count / prior.ratio, outside.count  # precisions of the means, in 1 / v
    lent_in, lent_out = weight_out / (1 + prior.spread * weight_out), weight_in / (1 + prior.spread * weight_in)
    mean_in = (weight_in * inside.mean + lent_in * (outside.mean + prior.gap)) / (weight_in + lent_in)
    mean_out = (weight_out * outside.mean + lent_out * (inside.mean - prior.gap)) / (weight_out + lent_out)
    width_in, width_out = prior.ratio + 1 / (weight_in + lent_in), 1 + 1 / (weight_out + lent_out)
    return log_student_t(signal - mean_in, width_in, known) - log_student_t(signal - mean_out, width_out, known)


def _seen_and_not(inside: Tally, outside: Tally) -> np.ndarray:
    return (inside.count > 0) & (outside.count > 0)


def _gap_squares(inside: Tally, outside: Tally, gap: float, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Return, for records with both kinds of runs, the squared deviation from `gap` and the variance of that error, in v."""
    both = _seen_and_not(inside, outside)
    rest = (inside.mean - outside.mean)[both] - gap
    return rest**2, ratio / inside.count[both] + 1 / outside.count[both]


def variance_ratio(inside: Tally, outside: Tally) -> float:
    """Return the pooled variance of runs trained on a record over that of other runs; 1 if it is unknown."""
    if not (inside.freedom.any() and outside.freedom.any() and outside.squares.any()):
        return 1.0
    pooled_in, pooled_out = (float(side.squares.sum() / side.freedom.sum()) for side in (inside, outside))
    return float(np.clip(pooled_in / pooled_out, 1 / MAX_RATIO, MAX_RATIO))


def typical_variance(squares_N: np.ndarray, freedom_N: np.ndarray, inside: Tally, outside: Tally) -> float:
    """Return the pooled variance within records; that of all signals if no record has two runs."""
    freedom = float(freedom_N.sum())
    found = float(squares_N.sum()) / freedom if freedom else total_variance(inside, outside)
    floor_N = variance_floor(inside, outside)
    return found if found >= floor_N.max() else max(found, float(np.median(floor_N)))  # a median takes far longer


def variance_prior(squares_N: np.ndarray, freedom_N: np.ndarray, typical: float) -> tuple[float, float]:
    """Return freedom and scale of the records' variances: log variances spread more than by chance (Smyth 2004, 6.2)."""
    known = freedom_N > 0
    if known.sum() < 2:
        return MAX_FREEDOM, typical
    observed = np.maximum(squares_N[known] / freedom_N[known], SMALLEST_SHARE * typical)
    logs = np.log(observed) - of_counts(_mean_of_log, freedom_N[known])
    excess = float(logs.var(ddof=1) - of_counts(_variance_of_log, freedom_N[known]).mean())
    freedom = 2 * inverse_trigamma(excess) if excess > 2 / MAX_FREEDOM else MAX_FREEDOM
    return freedom, float(np.exp(logs.mean() + digamma(freedom / 2) - np.log(freedom / 2)))


def _mean_of_log(freedom: np.ndarray) -> np.ndarray:
    """Return the mean of the logarithm of a chi-squared variable over its degrees of freedom (integers; 0 counts as 1)."""
    half = np.maximum(freedom, 1) / 2
    return digamma(half) - np.log(half)


def _variance_of_log(freedom: np.ndarray) -> np.ndarray:
    """Return the variance of the same."""
    return trigamma(np.maximum(freedom, 1) / 2)


def trigamma(x: np.ndarray) -> np.ndarray:
    """Return the derivative of digamma: Hurwitz's zeta function of 2, which takes an eighth of scipy's `polygamma`."""
    return zeta(2.0, x)


def inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value > 0; it lies between the roots of 1/x = value and 1/x + 1/x^2 = value."""
    ends = 1 / value, (1 + (1 + 4 * value) ** 0.5) / (2 * value)
    return float(brentq(lambda x: trigamma(x) - value, *ends, rtol=1e-12))


def posterior(freedom: float, scale: float, squares_N: np.ndarray, freedom_N: np.ndarray, floor_N: np.ndarray) -> Variances:
    """Return the posterior of the records' variances given their squares (Murphy 2007: alpha and beta are half of each)."""
    total = freedom + freedom_N
    return Variances(total, np.maximum((freedom * scale + squares_N) / total, floor_N))


def log_student_t(deviation: np.ndarray, width: np.ndarray, known: Variances) -> np.ndarray:
    """Return the log density of Student's t whose squared scale is `width` v, up to a function of the freedom alone."""
    scale = width * known.scale
    return -0.5 * ((known.freedom + 1) * np.log1p(deviation**2 / (known.freedom * scale)) + np.log(scale))


def log_upper_tail(t: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return log P(T >= t) of Student's t; finite, and decreasing for every t.

    Where float64 ends it is density * (1 + t^2 / freedom) / t / (1 + 1 / t^2). Integration by parts shows that this is
    too small by a factor of at most 1 + 1 / t^2; in practice by about 1 + 1 / t^4, and t is above 36 there.
    """
    tail = stdtr(freedom, -t)
    found, small = np.log(np.maximum(tail, SMALLEST_TAIL)), tail < SMALLEST_TAIL
    far, freedom = t[small], freedom[small]
    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi)
    found[small] = constant - 0.5 * (freedom - 1) * np.log1p(far**2 / freedom) - np.log(far) - np.log1p(1 / far**2)
    return found
