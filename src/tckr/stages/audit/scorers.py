"""Scorers: attacks that turn the signals of all runs into one score per record of the attacked run. Know no model.

Shape suffixes: R runs (target and reference runs), N records. `signals_RN` is float64, `members_RN` bool; higher scores mean
"rather a member". No scorer may read the attacked run's row of `members_RN`: `reference_statistics` drops it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

MIN_VARIANCE = 1e-9
"""Squared logits: below what float32 logits resolve. Keeps identical reference runs from dividing by zero."""


@dataclass(frozen=True)
class Scorer:
    """An attack and what it needs."""

    score: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    needs_references: bool = True


@dataclass(frozen=True)
class Side:
    """What the reference runs that saw a record (or did not) say about its signal: mean and variance, each [N]."""

    mean: np.ndarray
    variance: np.ndarray
    pooled_variance: float


def reference_statistics(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> tuple[Side, Side]:
    """Return the in- and out-distribution of every record over all runs but the attacked one.

    With few reference runs some records were seen by all or by none. Then the missing mean is the other side's, moved by the
    average difference between the sides; a variance from fewer than two runs is the pooled one. Both are an equal treatment
    of members and non-members, so they cost power but make nothing up.
    """
    signals, members = np.delete(signals_RN, attacked, axis=0), np.delete(members_RN, attacked, axis=0)
    counts = [members.sum(axis=0), (~members).sum(axis=0)]
    means = [_masked_mean(signals, mask) for mask in (members, ~members)]
    both = (counts[0] > 0) & (counts[1] > 0)
    if both.any():
        gap = float((means[0] - means[1])[both].mean())
    else:
        gap = float(signals[members].mean() - signals[~members].mean()) if members.any() and not members.all() else 0.0
    mean_in = np.where(counts[0] > 0, means[0], means[1] + gap)
    mean_out = np.where(counts[1] > 0, means[1], means[0] - gap)
    return _side(signals, members, mean_in), _side(signals, ~members, mean_out)


def _masked_mean(signals: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, signals, 0.0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)


def _side(signals: np.ndarray, mask: np.ndarray, mean: np.ndarray) -> Side:
    count = mask.sum(axis=0)
    squares = (np.where(mask, signals - mean, 0.0) ** 2).sum(axis=0)
    freedom = np.maximum(count - 1, 0)
    pooled = float(squares[freedom > 0].sum() / freedom.sum()) if freedom.any() else float(signals.var())
    variance = np.where(freedom > 0, squares / np.maximum(freedom, 1), pooled)
    return Side(mean, np.maximum(variance, MIN_VARIANCE), max(pooled, MIN_VARIANCE))


def global_threshold(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return the signal itself: the attack of Yeom et al. (2018), which needs no reference run."""
    return signals_RN[attacked].copy()


def lira_online(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return log N(s; in) - log N(s; out) with each record's own variances (Carlini et al. 2022, algorithm 1)."""
    inside, outside = reference_statistics(signals_RN, members_RN, attacked)
    signal = signals_RN[attacked]
    return log_normal(signal, inside.mean, inside.variance) - log_normal(signal, outside.mean, outside.variance)


def lira_online_fixed_variance(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return the same log ratio with one variance for all records (Carlini et al. 2022, section V-C).

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


SCORERS: dict[str, Scorer] = {
    "global_threshold": Scorer(global_threshold, needs_references=False),
    "lira_online": Scorer(lira_online),
    "lira_online_fixed_variance": Scorer(lira_online_fixed_variance),
    "lira_offline": Scorer(lira_offline),
    "lira_offline_fixed_variance": Scorer(lira_offline_fixed_variance),
}
