"""Confidence intervals of a proportion of independent trials."""

from __future__ import annotations

from scipy.special import betaincinv, ndtri


def clopper_pearson(successes: float, trials: float, confidence: float) -> tuple[float, float]:
    """Return the exact interval: all proportions that a two-sided binomial test does not reject.

    Coverage is at least `confidence` for every true proportion (Clopper and Pearson, 1934). Averaged counts may be
    fractions; without trials the interval is [0, 1].
    """
    tail = (1 - confidence) / 2
    low = betaincinv(successes, trials - successes + 1, tail) if successes > 0 else 0.0
    high = betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)


def wilson(successes: float, trials: float, confidence: float) -> tuple[float, float]:
    """Return the score interval (Wilson, 1927): coverage is `confidence` on average over true proportions.

    Averaged or effective counts may be fractions.
    """
    if trials == 0:
        return 0.0, 1.0
    z = critical_value(confidence)
    found, shrink = successes / trials, 1 / (1 + z * z / trials)
    centre = shrink * (found + z * z / (2 * trials))
    half = shrink * z * (found * (1 - found) / trials + z * z / (4 * trials * trials)) ** 0.5
    return min(found, max(0.0, centre - half)), max(found, min(1.0, centre + half))


def bonett_price(gained: float, lost: float, trials: float, confidence: float) -> tuple[float, float]:
    """Return the interval of (gained - lost) / trials, the difference of two proportions of the same trials.

    The adjusted Wald interval of Bonett and Price (2012): one trial is added to each kind of disagreement, so that the width
    is positive even without disagreements. Effective counts may be fractions.

    Args:
        gained: trials with success only in the first way.
        lost: trials with success only in the second way.
        trials: total number of trials, at least 1.
        confidence: level of the interval.
    """
    centre, error = _adjusted(gained, lost, trials)
    half, value = critical_value(confidence) * error, (gained - lost) / trials
    return min(value, max(-1.0, centre - half)), max(value, min(1.0, centre + half))


def bonett_price_z(gained: float, lost: float, trials: float) -> float:
    """Return the difference divided by its standard error: the critical value at which the interval touches 0."""
    centre, error = _adjusted(gained, lost, trials)
    return centre / error


def _adjusted(gained: float, lost: float, trials: float) -> tuple[float, float]:
    more, less = (gained + 1) / (trials + 2), (lost + 1) / (trials + 2)
    return more - less, ((more + less - (more - less) ** 2) / (trials + 2)) ** 0.5


def critical_value(confidence: float) -> float:
    """Return z with P(|Z| <= z) = `confidence`, e.g. 1.96 for 0.95."""
    return float(ndtri((1 + confidence) / 2))
