"""Analyses: what one scorer finds in signals and truth, as estimates. Know neither signals nor scorers by name.

An analysis returns fields of `SurfaceResult`; each is kept there under the scorer's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import FALSE_POSITIVE_RATES, auc, placements, roc_points, tpr_at_fpr
from tckr.metrics.results import LeaveOneOut
from tckr.stages.audit.scorers import Scorer

Analysis = Callable[[Scorer, np.ndarray, np.ndarray, float], Mapping[str, Any]]
"""(scorer, signals_RN, members_RN, confidence) -> field of `SurfaceResult`: finding."""


def target_run(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float) -> dict[str, Any]:
    """Attack run 0: AUC, TPR at low FPR and ROC curve, with intervals over its records."""
    scores, truth = scorer.score(signals_RN, members_RN, 0), members_RN[0]
    rates = {rate: tpr_at_fpr(scores, truth, float(rate), confidence) for rate in FALSE_POSITIVE_RATES}
    return {"auc": auc(scores, truth, confidence), "tpr": rates, "roc": roc_points(scores, truth)}


def leave_one_out(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float) -> dict[str, Any]:
    """Attack every run with the others as its references: mean AUC with a t-interval over runs.

    Runs serve as one another's references, so they are not quite independent; the interval takes them as such.
    """
    if len(signals_RN) == 1:
        return {}
    found = np.array([_auc_of_run(scorer, signals_RN, members_RN, run) for run in range(len(signals_RN))])
    spread = float(found.std(ddof=1))
    return {"leave_one_out": LeaveOneOut(mean=mean_over_runs(found, confidence), spread=spread, runs=found.tolist())}


def mean_over_runs(values: np.ndarray, confidence: float) -> Measured:
    """Return the mean of independent runs with a t-interval."""
    runs = len(values)
    if runs < 2:
        return NotMeasurable("an interval over runs needs two runs", runs)
    half = float(student_t.ppf((1 + confidence) / 2, runs - 1) * values.std(ddof=1) / runs**0.5)
    mean = float(values.mean())
    return Estimate(mean, mean - half, mean + half, runs, "t-interval over runs")


def _auc_of_run(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, run: int) -> float:
    return float(placements(scorer.score(signals_RN, members_RN, run), members_RN[run])[0].mean())


ANALYSES: dict[str, Analysis] = {"target_run": target_run, "leave_one_out": leave_one_out}
