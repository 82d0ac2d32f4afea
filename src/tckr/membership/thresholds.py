"""Fix thresholds on the reference runs alone, so that the target's records only ever meet a declared one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tckr.membership.scorers import Scorer
from tckr.metrics.low_fpr import threshold_at_fpr
from tckr.metrics.membership import FALSE_POSITIVE_RATES, epsilon_from_counts

MOST_CANDIDATES = 1_000_000
"""Thresholds that are tried: more would be nearer to one another than any estimate of their rates."""


@dataclass(frozen=True)
class Thresholds:
    """Scores above which a record is called a member.

    Attributes:
        balanced_accuracy, epsilon: where each is largest.
        at_fpr: false positive rate -> the lowest that so many non-members of the reference runs pass, where they can tell.
    """

    balanced_accuracy: float
    epsilon: float
    at_fpr: Mapping[str, float] = field(default_factory=dict)

    @property
    def every(self) -> np.ndarray:
        """Return all of them, float64 [K]."""
        return np.array([self.balanced_accuracy, self.epsilon, *self.at_fpr.values()])


def fix_thresholds(
    scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float, delta: float
) -> Thresholds:
    """Return the thresholds that serve best when the reference runs 1..R attack one another.

    Row 0 is dropped from both matrices, so neither the target's signals nor its membership can move a threshold. The one for
    epsilon is where a run with average counts would give the highest lower bound.
    """
    signals, members = signals_RN[1:], members_RN[1:]
    scores = np.empty(signals.shape)
    for run, found in enumerate(scorer.score_each(signals, members)):
        scores[run] = found
    inside, outside = np.sort(scores[members]), np.sort(scores[~members])
    thresholds = _candidates(inside, outside)
    tpr, fpr = ((len(side) - np.searchsorted(side, thresholds, side="right")) / len(side) for side in (inside, outside))
    num_members, num_others = len(inside) / len(members), len(outside) / len(members)
    counts = ((1 - tpr) * num_members, num_members), (fpr * num_others, num_others)
    bounds = epsilon_from_counts(*counts, confidence=confidence, delta=delta)
    rates = ((rate, threshold_at_fpr(scores, members, float(rate))) for rate in FALSE_POSITIVE_RATES)
    at_fpr = {rate: threshold for rate, threshold in rates if threshold is not None}
    return Thresholds(float(thresholds[np.argmax(tpr - fpr)]), float(thresholds[np.argmax(bounds)]), at_fpr)


def _candidates(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return thresholds between all distinct scores, or between `MOST_CANDIDATES` evenly spaced ones; both are sorted."""
    step = max(1, (len(inside) + len(outside)) // MOST_CANDIDATES)
    distinct = np.unique(np.concatenate([inside[::step], outside[::step]]))
    return np.append(distinct[0] - 1, (distinct[1:] + distinct[:-1]) / 2)
