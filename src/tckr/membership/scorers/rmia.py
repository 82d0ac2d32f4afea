"""RMIA: a record is likely a member if the target is surer of it, relative to other models, than of most records.

Zarifzadeh et al. 2024, "Low-Cost High-Power Membership Inference Attacks". A record's ratio p(x | target) / p(x) is
compared with the ratios of a population of records z; the score is the share of them that it exceeds by a factor gamma.
Counting takes a sort and a search, O((N + Z) log Z), and needs no matrix [N, Z].

Signals are logit-scaled confidences: p = 1 / (1 + exp(-s)). Both p and 1 - p are stored, so that a ratio stays precise
where p rounds to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from tckr.membership.scorers.references import Sums, by_halves, filled_means

GAMMA = 1.0
"""Value of the authors' code. With one target, a larger gamma ranks records alike but ties all that exceed no z by that
factor; if all ratios are close (signals of 1e-3), that would be every record."""

OFFLINE_SLOPE = 0.3
"""The `a` of p_in = a p_out + (1 - a): the paper's for CIFAR-10 and the authors' default. Larger values suit models that
are hardly surer of their members: `tuned_slope` fits it to the reference runs; `rmia_online` needs none."""

SMALLEST, LARGEST = 1e-3, 500.0
"""Bounds of the largest |s|: at 500, p and 1 - p are still above 0 in float64; below 1e-3 every p is about 1/2."""


def rmia_online(inside: Confidence, outside: Confidence, signal: np.ndarray) -> np.ndarray:
    """Return the share of all N records whose ratio is not above the record's, in (0, 1].

    The population is the pool itself: members and non-members of the attacked run, which the attacker cannot distinguish.
    For a separate population use `log_ratio_online` and `relative_score`.
    """
    ratios = log_ratio_online(inside, outside, signal)
    return relative_score(ratios, ratios, GAMMA)


def rmia_offline(inside: Confidence, outside: Confidence, signal: np.ndarray) -> np.ndarray:
    """Return the same with p(x) only from runs that were not trained on the record."""
    ratios = log_ratio_offline(inside, outside, signal)
    return relative_score(ratios, ratios, GAMMA)


def rmia_offline_tuned(inside: Confidence, outside: Confidence, signal: np.ndarray) -> np.ndarray:
    """Return `rmia_offline` with the slope `a` that is fitted to the reference runs (`tuned_slope`)."""
    ratios = log_ratio_offline(inside, outside, signal, tuned_slope(inside, outside))
    return relative_score(ratios, ratios, GAMMA)


def tuned_slope(inside: Confidence, outside: Confidence) -> float:
    """Return the `a` of p_in = a p_out + (1 - a) that fits the reference runs: least squares of 1 - p_in on 1 - p_out.

    Departure from the paper, which attacks one reference model with the others for several values of `a` and keeps the
    best. Both use the membership of reference runs and not that of the attacked run; a fit costs one sum over records and
    uses all runs. The fit is over records with both kinds of runs; without any, the slope is `OFFLINE_SLOPE`. It is in [0,
    1], where p_in is at least p_out.
    """
    both = (inside.count > 0) & (outside.count > 0)
    squares = float((outside.q[both] ** 2).sum())
    return float(np.clip((inside.q * outside.q)[both].sum() / squares, 0, 1)) if squares else OFFLINE_SLOPE


def relative_score(log_ratio_N: np.ndarray, log_ratio_Z: np.ndarray, gamma: float) -> np.ndarray:
    """Return for every record x the share of population records z with ratio(x) / ratio(z) >= gamma, [N]."""
    ordered, order = np.sort(log_ratio_Z), np.argsort(log_ratio_N)
    share = np.empty(len(log_ratio_N))
    share[order] = np.searchsorted(ordered, log_ratio_N[order] - np.log(gamma), side="right") / len(ordered)
    return share


def log_ratio_online(inside: Confidence, outside: Confidence, signal: np.ndarray) -> np.ndarray:
    """Return log p(x | attacked run) - log p(x); p(x) is the average of the in- and the out-models' mean p, [N].

    The two means have equal weights whatever their numbers of runs, so the number of runs with a record reveals nothing. A
    record in all runs or in none gets the missing mean from the other one, moved by the average difference in logits. This
    does not use the attacked run's membership and is the same for all records. To use a population, append it as further
    columns that are in no run, and split the result: their in-means are filled in this way.
    """
    seen, unseen = _filled(inside, outside)
    p, q = (seen.p + unseen.p) / 2, (seen.q + unseen.q) / 2
    return log_expit(signal) - _log_confidence(p, q)


def log_ratio_offline(
    inside: Confidence, outside: Confidence, signal: np.ndarray, slope: float = OFFLINE_SLOPE
) -> np.ndarray:
    """Return the same with p(x) = ((1 + a) p_out + (1 - a)) / 2: the average of p_out and p_in = a p_out + (1 - a), [N].

    A record that is in every run gets its p_out from its in-mean, as in `log_ratio_online`.
    """
    unseen = _filled(inside, outside)[1]
    weight = (1 + slope) / 2
    return log_expit(signal) - _log_confidence(weight * unseen.p + (1 - weight), weight * unseen.q)


def in_range(signals_RN: np.ndarray) -> np.ndarray:
    """Return the signals, scaled by one number if they cannot be confidences.

    Distances or differences of losses may be so large that p or 1 - p is zero in float64, or so small that every p is
    1/2: all ratios would be tied. After scaling, the same formula gives finite scores in the order of the signals. RMIA
    weights signals by how sure a confidence they would be, so for such signals it is a weaker attack than LiRA, but still
    valid.
    """
    largest = max(float(signals_RN.max()), -float(signals_RN.min()))
    if largest == 0 or SMALLEST <= largest <= LARGEST:
        return signals_RN
    return signals_RN / largest * np.clip(largest, SMALLEST, LARGEST)


@dataclass(frozen=True)
class Confidence:
    """Mean p and mean 1 - p of the runs of one side for every record, and the number of runs; each [N]."""

    count: np.ndarray
    p: np.ndarray
    q: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Return the mean p as a logit."""
        return np.log(self.p) - np.log(self.q)


class ConfidenceSums:
    """Numbers of runs, sums of p and of 1 - p of both sides, [3, 2, N]: runs trained on a record, and other runs."""

    def __init__(self, signals_RN: np.ndarray) -> None:
        """Start without a run."""
        self._sums = np.zeros((3, 2, signals_RN.shape[1]))

    def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
        """Add a run."""
        chosen, (count, p, q) = np.stack([members_N, ~members_N]), self._sums
        count += chosen
        p += expit(signal_N) * chosen
        q += expit(-signal_N) * chosen

    def copy(self) -> ConfidenceSums:
        """Return a copy to which other runs can be added."""
        copied = ConfidenceSums(np.empty((0, 0)))
        copied._sums = self._sums.copy()
        return copied

    def sides(self) -> tuple[Confidence, Confidence]:
        """Return both sides (p = 1/2 where there is no run)."""
        count, *pair = self._sums
        p, q = np.where(count > 0, np.stack(pair) / np.maximum(count, 1), 0.5)
        return Confidence(count[0], p[0], q[0]), Confidence(count[1], p[1], q[1])

    @classmethod
    def without_each(cls, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, Sums]]:
        """Yield every run, in order, with the sums of all others."""
        return by_halves(cls, signals_RN, members_RN)


def _filled(inside: Confidence, outside: Confidence) -> tuple[Confidence, Confidence]:
    """Return both sides with missing values filled."""
    means = filled_means(inside, outside)
    found = []
    for side, logits in zip((inside, outside), means, strict=True):
        known = side.count > 0
        found.append(Confidence(side.count, np.where(known, side.p, expit(logits)), np.where(known, side.q, expit(-logits))))
    return found[0], found[1]


def _log_confidence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return log p from p and q = 1 - p, using the one that is exact."""
    return np.where(q < 0.5, np.log1p(-np.minimum(q, 0.5)), np.log(p))
