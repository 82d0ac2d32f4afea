"""Analyses: estimates from one scorer applied to signals and membership, for one run or over all runs.

Shape suffixes: R runs (row 0 = target, 1.. = reference runs), N records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from scipy.special import stdtrit

from tckr.artifacts.audit import LeaveOneOut, LowFpr
from tckr.membership.scorers import Scorer, attack_each, scores_of_runs
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.low_fpr import PRIORS, pooled_tpr_at_fpr, ppv_at_fpr, tpr_at_reference_fpr
from tckr.metrics.membership import FALSE_POSITIVE_RATES, auc, auc_value, roc_points, tpr_at_fpr

MIN_RUNS = 4
"""Minimum number of runs: without one of them, the attack on a run still has two reference runs."""

MOST_LEFT_OUT = 32
"""Up to this many runs, each is left out in turn, which costs as many attacks as there are pairs of runs."""

BLOCKS = 8
"""Number of blocks into which more runs are divided."""

SHARED_TERMS = 2.0
"""Factor on the variance between runs, for a mean over runs that attack one another: two runs share a term."""

Attack = Callable[[np.ndarray], np.ndarray]
"""Numbers of runs -> the AUC of each, attacked with the others as references."""

Kept = dict[tuple[int, ...], np.ndarray]
"""Numbers of runs, rising -> the result of `Attack`, for analyses that ask for the same."""

Track = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Total number of attacks -> context of a function to call with the number of finished ones, to show progress."""


@contextmanager
def untracked(total: int) -> Iterator[Callable[[int], None]]:
    """Show no progress."""
    yield lambda amount: None


def target_run(scores: np.ndarray, truth: np.ndarray, confidence: float, strata: np.ndarray | None = None) -> dict[str, Any]:
    """Judge scores [N] of run 0: AUC (within `strata`, if given), TPR at low FPR, ROC curve, with intervals over records."""
    rates = {rate: tpr_at_fpr(scores, truth, float(rate), confidence) for rate in FALSE_POSITIVE_RATES}
    return {"auc": auc(scores, truth, confidence, strata), "tpr": rates, "roc": roc_points(scores, truth)}


def leave_one_out(
    scorers: Mapping[str, Scorer],
    signals_RN: np.ndarray,
    members_RN: np.ndarray,
    confidence: float,
    strata: np.ndarray | None = None,
    *,
    declared: str = "",
    track: Track = untracked,
    kept: Kept | None = None,
) -> dict[str, LeaveOneOut]:
    """Attack every run with the others as its references: mean AUC by scorer, with an interval over runs of `declared`.

    The AUCs of `declared`, of all runs and of those that the interval compares, are added to `kept`.
    """
    kept = {} if kept is None else kept
    num_runs = len(signals_RN)
    more = num_attacks(num_runs) - num_runs if declared in scorers else 0
    with track(num_runs * len(scorers) + more) as advance:
        found = _aucs_by_scorer(scorers, signals_RN, members_RN, strata, advance)
        alone = NotMeasurable("the interval over runs is computed for the declared attack", num_runs)
        means: dict[str, Measured] = dict.fromkeys(scorers, alone)
        if declared in scorers:

            def attack(runs: np.ndarray) -> np.ndarray:
                aucs = aucs_of_runs(scorers[declared], signals_RN[runs], members_RN[runs], strata, advance)
                return kept.setdefault(tuple(runs), aucs)

            means[declared] = mean_over_runs(found[declared], attack, confidence)
            kept[tuple(range(num_runs))] = found[declared]
    return {
        name: LeaveOneOut(value=float(each.mean()), mean=means[name], spread=float(each.std(ddof=1)), runs=each.tolist())
        for name, each in found.items()
    }


def low_fpr(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float) -> dict[str, LowFpr]:
    """Return TPR at low false positive rates over all runs, and PPV at stated priors, by rate.

    Every run is attacked with the others as its references. Together they have R times the non-members of one run, so a
    rate of 0.1 % can be measured although a single run has too few.
    """
    scores_RN = scores_of_runs(scorer, signals_RN, members_RN)
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
    return _aucs_by_scorer({"": scorer}, signals_RN, members_RN, strata, advance)[""]


def _aucs_by_scorer(
    scorers: Mapping[str, Scorer],
    signals_RN: np.ndarray,
    members_RN: np.ndarray,
    strata: np.ndarray | None,
    advance: Callable[[int], None],
) -> dict[str, np.ndarray]:
    found = []
    for aucs in attack_each(scorers, signals_RN, members_RN, lambda scores, members: auc_value(scores, members, strata)):
        found.append(aucs)
        advance(len(scorers))
    return {name: np.array([aucs[name] for aucs in found]) for name in scorers}


def mean_over_runs(values_R: np.ndarray, attack: Attack, confidence: float) -> Measured:
    """Return the mean over runs with a t-interval; `attack` attacks a subset of the runs with one another as references.

    Runs that attack one another share information: where nothing leaks, using run r as a reference moves the AUC of run s
    as much as run s moves that of r. The variance of the mean is then at least twice what the spread between runs suggests.
    It is therefore estimated from runs that did not attack one another:

    - Up to 32 runs, the jackknife: the mean without run r, as target and as reference, for every r. (n - 1) / n times
    the sum of squares of these means overestimates the variance of a mean of as many runs (Efron and Stein 1981): by little
    where each run leaks by itself, by a factor of two where all differences come from pairs of runs. The interval is then
    too wide, never too narrow.
    - More runs: 8 blocks, each attacked separately. The means of the blocks are independent.

    The interval is about training runs like these on these records.
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
    half = float(stdtrit(freedom, (1 + confidence) / 2) * variance**0.5)
    mean = float(values_R.mean())
    return Estimate(mean, mean - half, mean + half, len(runs), f"t-interval over runs, {method}")


def num_attacks(num_runs: int) -> int:
    """Return the number of attacks in `leave_one_out`."""
    if num_runs < MIN_RUNS:
        return num_runs
    return num_runs * num_runs if num_runs <= MOST_LEFT_OUT else 2 * num_runs
