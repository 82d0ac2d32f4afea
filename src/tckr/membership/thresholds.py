"""Fix thresholds on the reference runs alone, so that the target's records only ever meet a declared one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tckr.membership.scorers import Scorer
from tckr.metrics.membership import epsilon_from_counts, roc_curve


@dataclass(frozen=True)
class Thresholds:
    """Scores above which a record is called a member."""

    balanced_accuracy: float
    epsilon: float


def fix_thresholds(
    scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float, delta: float
) -> Thresholds:
    """Return the thresholds that serve best when the reference runs 1..R attack one another.

    Row 0 is dropped from both matrices, so neither the target's signals nor its membership can move a threshold. The one for
    epsilon is where a run with average counts would give the highest lower bound.
    """
    signals, members = signals_RN[1:], members_RN[1:]
    scores = np.concatenate(list(scorer.score_each(signals, members)))
    truth = members.reshape(-1)
    distinct = np.unique(scores)
    thresholds = np.append(distinct[0] - 1, (distinct[1:] + distinct[:-1]) / 2)
    fpr, tpr = (rate[:0:-1] for rate in roc_curve(scores, truth))
    num_members, num_others = members.sum() / len(members), (~members).sum() / len(members)
    counts = ((1 - tpr) * num_members, num_members), (fpr * num_others, num_others)
    bounds = epsilon_from_counts(*counts, confidence=confidence, delta=delta)
    return Thresholds(float(thresholds[np.argmax(tpr - fpr)]), float(thresholds[np.argmax(bounds)]))
