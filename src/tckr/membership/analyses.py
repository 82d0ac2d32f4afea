"""Analyses: what one scorer finds in signals and truth, as estimates. Know neither signals nor scorers by name.

Shape suffixes: R runs (row 0 = target, 1.. = reference runs), N records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from tckr.artifacts.audit import LeaveOneOut, LowFpr
from tckr.membership.scorers import Scorer
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.low_fpr import PRIORS, pooled_tpr_at_fpr, ppv_at_fpr, tpr_at_reference_fpr
from tckr.metrics.membership import FALSE_POSITIVE_RATES, auc, auc_influence, roc_points, tpr_at_fpr

MIN_RUNS = 4
"""Without one of them, two reference runs are left for the attack on the third."""

MOST_LEFT_OUT = 32
"""Up to so many runs each is left out in turn, which costs as many attacks as there are pairs of runs."""

BLOCKS = 8
"""More runs are divided into so many blocks."""

SHARED_TERMS = 2.0
"""Factor on the variance between runs of a mean over runs that attack one another: two runs share a term."""

Attack = Callable[[np.ndarray], np.ndarray]
"""Numbers of runs -> the AUC of each, attacked with the others of them as references."""

Track = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Number of attacks -> what to call with how many were made, to show progress."""


@contextmanager
def untracked(total: int) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda amount: None


def target_run(
    scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float, strata: np.ndarray | None = None
) -> dict[str, Any]:
    """Attack run 0: AUC (within `strata`, if given), TPR at low FPR and ROC curve, with intervals over its records."""
    scores, truth = scorer.score(signals_RN, members_RN, 0), members_RN[0]
    rates = {rate: tpr_at_fpr(scores, truth, float(rate), confidence) for rate in FALSE_POSITIVE_RATES}
    return {"auc": auc(scores, truth, confidence, strata), "tpr": rates, "roc": roc_points(scores, truth)}


def leave_one_out(
    scorer: Scorer,
    signals_RN: np.ndarray,
    members_RN: np.ndarray,
    confidence: float,
    strata: np.ndarray | None = None,
    *,
    declared: bool = True,
    track: Track = untracked,
) -> LeaveOneOut:
    """Attack every run with the others as its references: mean AUC, with an interval over runs if it is `declared`."""

    def aucs(runs: np.ndarray) -> np.ndarray:
        return aucs_of_runs(scorer, signals_RN[runs], members_RN[runs], strata, advance)

    num_runs = len(signals_RN)
    with track(num_attacks(num_runs) if declared else num_runs) as advance:
        found = aucs(np.arange(num_runs))
        alone = NotMeasurable("the interval over runs is computed for the declared attack", num_runs)
        mean = mean_over_runs(found, aucs, confidence) if declared else alone
    return LeaveOneOut(value=float(found.mean()), mean=mean, spread=float(found.std(ddof=1)), runs=found.tolist())


def low_fpr(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float) -> dict[str, LowFpr]:
    """Return TPR at low false positive rates over all runs, and what it means at stated priors, by rate.

    Every run is attacked with the others as its references. Together they have R times the non-members of one, so that a
    rate of 0.1 % is measurable where one run has too few.
    """
    scores_RN = np.stack(list(scorer.score_each(signals_RN, members_RN)))
    inflation = SHARED_TERMS if scorer.needs_references else 1.0
    found = {}
    for rate in FALSE_POSITIVE_RATES:
        tpr = pooled_tpr_at_fpr(scores_RN, members_RN, float(rate), confidence, inflation=inflation)
        of_target = tpr_at_reference_fpr(
            scores_RN[0], members_RN[0], scores_RN[1:], members_RN[1:], rate=float(rate), confidence=confidence
        )
        ppv = {name: ppv_at_fpr(tpr, float(rate), prior) for name, prior in PRIORS.items()}
        found[rate] = LowFpr(tpr=tpr, tpr_of_target=of_target, ppv=ppv)
    return found


def aucs_of_runs(
    scorer: Scorer,
    signals_RN: np.ndarray,
    members_RN: np.ndarray,
    strata: np.ndarray | None = None,
    advance: Callable[[int], None] = lambda amount: None,
) -> np.ndarray:
    """Return the AUC of every run, attacked with the others as its references, float64 [R]."""
    found = []
    for scores, members in zip(scorer.score_each(signals_RN, members_RN), members_RN, strict=True):
        found.append(auc_influence(scores, members, strata)[0])
        advance(1)
    return np.array(found)


def mean_over_runs(values_R: np.ndarray, attack: Attack, confidence: float) -> Measured:
    """Return the mean over runs with a t-interval; `attack` attacks some of the runs among themselves.

    Runs that attack one another share what they learn: where nothing leaks, run r taken for a reference moves the AUC of run
    s as s moves that of r, and the mean varies twice as much, or more, as the spread between runs says. So the variance is
    taken from runs that never met:

    - Up to 32 runs, the jackknife: the mean without run r, as target and as reference, for every r. (n - 1) / n times their
      sum of squares overestimates the variance of a mean of as many runs, whatever they share (Efron and Stein 1981): by
      little where each run leaks on its own, twofold where all there is comes from pairs of runs. The interval is then too
      wide, never too narrow.
    - More runs: 8 blocks, each attacked on its own. The blocks' means are independent.

    It is about training runs like these on these records.
    """
    runs = np.arange(len(values_R))
    if len(runs) < MIN_RUNS:
        return NotMeasurable(f"an interval over runs needs {MIN_RUNS} runs", len(runs))
    if len(runs) <= MOST_LEFT_OUT:
        without = np.array([attack(runs[runs != run]).mean() for run in runs])
        variance, freedom, method = (len(runs) - 1) * without.var(), len(runs) - 1, "jackknife over runs"
    else:
        blocks = np.array([attack(runs[runs % BLOCKS == block]).mean() for block in range(BLOCKS)])
        variance, freedom, method = blocks.var(ddof=1) / BLOCKS, BLOCKS - 1, f"{BLOCKS} blocks of runs, each on its own"
    half = float(student_t.ppf((1 + confidence) / 2, freedom) * variance**0.5)
    mean = float(values_R.mean())
    return Estimate(mean, mean - half, mean + half, len(runs), f"t-interval over runs, {method}")


def num_attacks(num_runs: int) -> int:
    """Return how many attacks `leave_one_out` makes."""
    if num_runs < MIN_RUNS:
        return num_runs
    return num_runs * num_runs if num_runs <= MOST_LEFT_OUT else 2 * num_runs
