"""LiRA: likelihood ratios of normals (Carlini et al. 2022, "Membership Inference Attacks From First Principles").

Scores do not change if all signals are multiplied by a positive number, so a signal need not be a confidence: distances or
differences of losses can be used as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from tckr.membership.scorers.references import Tally, filled_means, total_variance, variance_floor


@dataclass(frozen=True)
class Side:
    """Mean and variance, each [N], of a record's signal over the reference runs that were (or were not) trained on it."""

    mean: np.ndarray
    variance: np.ndarray
    pooled_variance: float


def reference_statistics(inside: Tally, outside: Tally) -> tuple[Side, Side]:
    """Return the in- and out-distribution of every record.

    Missing means are filled (`filled_means`). A variance from fewer than two runs is replaced by the pooled variance of its
    side, or by that of all signals if no record has two runs.
    """
    mean_in, mean_out = filled_means(inside, outside)
    floor, fallback = variance_floor(inside, outside), total_variance(inside, outside)
    return _side(inside, mean_in, fallback, floor), _side(outside, mean_out, fallback, floor)


def _side(side: Tally, mean: np.ndarray, fallback: float, floor: np.ndarray) -> Side:
    freedom = float(side.freedom.sum())
    pooled = float(side.squares.sum()) / freedom if freedom else fallback
    variance = np.where(side.freedom > 0, side.squares / np.maximum(side.freedom, 1), pooled)
    return Side(mean, np.maximum(variance, floor), max(pooled, float(np.median(floor))))


def lira_online(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return log N(s; in) - log N(s; out) with each record's own variances (algorithm 1)."""
    seen, unseen = reference_statistics(inside, outside)
    return log_normal(signal, seen.mean, seen.variance) - log_normal(signal, unseen.mean, unseen.variance)


def lira_online_fixed_variance(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return the same log ratio with one variance for all records (section V-C).

    Departure from the paper, as in its code: both sides share the variance. With two variances, a signal far above all known
    ones would count against membership.
    """
    seen, unseen = reference_statistics(inside, outside)
    variance = (seen.pooled_variance + unseen.pooled_variance) / 2
    return log_normal(signal, seen.mean, variance) - log_normal(signal, unseen.mean, variance)


def lira_offline(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return -log P(a model not trained on the record gives at least s), with each record's own variance (eq. 4)."""
    unseen = reference_statistics(inside, outside)[1]
    return -log_ndtr((unseen.mean - signal) / np.sqrt(unseen.variance))


def lira_offline_fixed_variance(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
    """Return the same tail probability with one variance for all records."""
    unseen = reference_statistics(inside, outside)[1]
    return -log_ndtr((unseen.mean - signal) / unseen.pooled_variance**0.5)


def log_normal(value: np.ndarray, mean: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
    """Return the log density of N(mean, variance) at `value`."""
    return -0.5 * (np.log(2 * np.pi * variance) + (value - mean) ** 2 / variance)
