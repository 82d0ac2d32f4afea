"""Analyses: what one scorer finds in signals and truth, as estimates. Know neither signals nor scorers by name.

An analysis returns fields of `SurfaceResult`; each is kept there under the scorer's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from tckr.artifacts.audit import LeaveOneOut
from tckr.membership.scorers import Scorer
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import FALSE_POSITIVE_RATES, auc, placements, roc_points, tpr_at_fpr

SHARED = 2.5
"""Factor on the variance of the mean over runs, for terms that runs share. For terms between pairs of runs it is 2. With 2,
intervals of `bavaria_online` covered too seldom in simulations of 16 reference runs, so it was raised (docs/audit.md)."""

Analysis = Callable[[Scorer, np.ndarray, np.ndarray, float], Mapping[str, Any]]
"""(scorer, signals_RN, members_RN, confidence) -> field of `SurfaceResult`: finding."""


def target_run(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float) -> dict[str, Any]:
    """Attack run 0: AUC, TPR at low FPR and ROC curve, with intervals over its records."""
    scores, truth = scorer.score(signals_RN, members_RN, 0), members_RN[0]
    rates = {rate: tpr_at_fpr(scores, truth, float(rate), confidence) for rate in FALSE_POSITIVE_RATES}
    return {"auc": auc(scores, truth, confidence), "tpr": rates, "roc": roc_points(scores, truth)}


def leave_one_out(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray, confidence: float) -> dict[str, Any]:
    """Attack every run with the others as its references: mean AUC with a t-interval over runs."""
    if len(signals_RN) == 1:
        return {}
    found = aucs_of_runs(scorer, signals_RN, members_RN)
    mean = mean_over_runs(found, confidence, share_terms=scorer.learns_effect)
    return {"leave_one_out": LeaveOneOut(mean=mean, spread=float(found.std(ddof=1)), runs=found.tolist())}


def aucs_of_runs(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray) -> np.ndarray:
    """Return the AUC of every run, attacked with the others as its references, float64 [R]."""
    each = zip(scorer.score_each(signals_RN, members_RN), members_RN, strict=True)
    return np.array([placements(scores, members)[0].mean() for scores, members in each])


def mean_over_runs(values: np.ndarray, confidence: float, *, share_terms: bool) -> Measured:
    """Return the mean over n runs with a t-interval.

    `share_terms`: an attack that learns from run s which way membership moves a signal, and scores run r by it, adds up over
    records a term (M_r - p)(M_s - p) k(S_r, S_s), with k symmetric: the attack on s by r adds the same. Where nothing leaks
    such pairs are nearly all there is: A_r = sum over s of T_rs with T_rs = T_sr uncorrelated. Then Var A_r = (n - 1) t and
    Cov(A_r, A_s) = t, so the mean's variance is 2 (n - 1) t / n, while the variance between runs estimates (n - 2) t: what
    independent runs would have must be multiplied by 2 (n - 1) / (n - 2). Terms of three runs would give 3 instead of 2;
    `SHARED` allows for them. Where runs leak, each run's own term grows, and the interval is wider than it need be.
    """
    runs = len(values)
    if runs < 2 + share_terms:
        return NotMeasurable(f"an interval over runs needs {2 + share_terms} runs", runs)
    inflation = SHARED * (runs - 1) / (runs - 2) if share_terms else 1.0
    half = float(student_t.ppf((1 + confidence) / 2, runs - 1) * values.std(ddof=1) * (inflation / runs) ** 0.5)
    mean, method = float(values.mean()), "t-interval over runs" + (", terms that runs share counted" if share_terms else "")
    return Estimate(mean, mean - half, mean + half, runs, method)


ANALYSES: dict[str, Analysis] = {"target_run": target_run, "leave_one_out": leave_one_out}
