"""LiRA: likelihood ratios of normals (Carlini et al. 2022, "Membership Inference Attacks From First Principles").

Scores stay the same when all signals are multiplied by a positive number, so a signal need not be a confidence: a distance
or a difference of losses does as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from tckr.stages.audit.scorers.references import Tally, filled_means, tally, total_variance, variance_floor


@dataclass(frozen=True)
class Side:
    """What the reference runs that saw a record (or did not) say about its signal: mean and variance, each [N]."""

    mean: np.ndarray
    variance: np.ndarray
    pooled_variance: float


def reference_statistics(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> tuple[Side, Side]:
    """Return the in- and out-distribution of every record over all runs but the attacked one.

    Missing means are filled (`filled_means`); a variance from fewer than two runs is the pooled one of its side, and where
    no record has two, that of all signals.
    """
    inside, outside = tally(signals_RN, members_RN, attacked)
    mean_in, mean_out = filled_means(inside, outside)
    floor, fallback = variance_floor(inside, outside), total_variance(inside, outside)
    return _side(inside, mean_in, fallback, floor), _side(outside, mean_out, fallback, floor)


def _side(side: Tally, mean: np.ndarray, fallback: float, floor: np.ndarray) -> Side:
    freedom = float(side.freedom.sum())
    pooled = float(side.squares.sum()) / freedom if freedom else fallback
    variance = np.where(side.freedom > 0, side.squares / np.maximum(side.freedom, 1), pooled)
    return Side(mean, np.maximum(variance, floor), max(pooled, float(np.median(floor))))


def lira_online(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return log N(s; in) - log N(s; out) with each record's own variances (algorithm 1)."""
    inside, outside = reference_statistics(signals_RN, members_RN, attacked)
    signal = signals_RN[attacked]
    return log_normal(signal, inside.mean, inside.variance) - log_normal(signal, outside.mean, outside.variance)


def lira_online_fixed_variance(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return the same log ratio with one variance for all records (section V-C).

    Departure from the paper, as in its code: in and out share it. Two variances would bend the ratio so that a signal far
    above anything seen counts against membership.
    """
    inside, outside = reference_statistics(signals_RN, members_RN, attacked)
    variance = (inside.pooled_variance + outside.pooled_variance) / 2
    signal = signals_RN[attacked]
    return log_normal(signal, inside.mean, variance) - log_normal(signal, outside.mean, variance)


def lira_offline(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return -log P(a model that did not see the record gives at least s), each record's own variance (eq. 4)."""
    outside = reference_statistics(signals_RN, members_RN, attacked)[1]
    return -log_ndtr((outside.mean - signals_RN[attacked]) / np.sqrt(outside.variance))


def lira_offline_fixed_variance(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return the same tail probability with one variance for all records."""
    outside = reference_statistics(signals_RN, members_RN, attacked)[1]
    return -log_ndtr((outside.mean - signals_RN[attacked]) / outside.pooled_variance**0.5)


def log_normal(value: np.ndarray, mean: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
    """Return the log density of N(mean, variance) at `value`."""
    return -0.5 * (np.log(2 * np.pi * variance) + (value - mean) ** 2 / variance)
