"""True positive rates at low false positive rates over many runs, and predictive values at a prior.

A run of N records has too few non-members for an FPR of 0.1 %: its own curve cannot show a rate of 1 in 1,000.
The non-members of all reference runs together can show it, if every run is attacked in the same way.

Shape suffixes: R runs, N records. `scores_RN` float64, higher = more likely a member; `members_RN` the truth, bool.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import t as student_t

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import members_above, mixed_ends, tpr_at_fpr
from tckr.metrics.proportions import clopper_pearson, critical_value

PRIORS: Mapping[str, float] = {"1:1": 1 / 2, "1:10": 1 / 11, "1:100": 1 / 101}
"""Members : non-members among the records that an attacker tests -> share of members."""


def threshold_at_fpr(scores_RN: np.ndarray, members_RN: np.ndarray, rate: float) -> float | None:
    """Return the lowest threshold that at most `rate` of all runs' non-members pass; None if there are too few of them.

    A record with a score above it is called a member. Use the threshold on a run that is not one of these.
    """
    outside = scores_RN[~members_RN]
    allowed = int(rate * len(outside) + 1e-9)
    return float(np.partition(outside, len(outside) - allowed - 1)[len(outside) - allowed - 1]) if allowed else None


def rates_at_threshold(
    scores: np.ndarray, members: np.ndarray, threshold: float, confidence: float
) -> tuple[Measured, Measured]:
    """Return TPR and FPR of calling scores [N] above `threshold` members, each with a Clopper-Pearson interval.

    `threshold` must not come from these records, e.g. `threshold_at_fpr` of the reference runs.
    """
    found = (_share(scores[chosen] > threshold, confidence) for chosen in (members, ~members))
    tpr, fpr = found
    return tpr, fpr


def tpr_at_reference_fpr(
    scores: np.ndarray,
    members: np.ndarray,
    reference_scores_RN: np.ndarray,
    reference_members_RN: np.ndarray,
    *,
    rate: float,
    confidence: float,
) -> Measured:
    """Return the share of one run's members above the threshold that `rate` of the reference runs' non-members pass.

    The interval is that of `tpr_at_fpr` with these non-members: it includes that they only estimate the threshold. It is
    about this run's members, and needs 1 / `rate` non-members in all reference runs together, not in this run. The reference
    runs must be attacked in the same way, apart from the number of references. `rates_at_threshold` shows whether this run's
    own non-members agree.

    Args:
        scores: float64 [N], of the attacked run.
        members: bool [N], the attacked run's truth.
        reference_scores_RN: of the reference runs, each attacked with the others.
        reference_members_RN: their truth.
        rate: false positive rate, e.g. 0.001.
        confidence: level of the interval.
    """
    inside, outside = scores[members], reference_scores_RN[~reference_members_RN]
    found = tpr_at_fpr(
        np.concatenate([inside, outside]),
        np.concatenate([np.ones(len(inside), dtype=bool), np.zeros(len(outside), dtype=bool)]),
        rate,
        confidence,
    )
    if isinstance(found, NotMeasurable):
        return found
    return Estimate(found.value, found.low, found.high, found.n, f"threshold from the reference runs; {found.method}")


def pooled_tpr_at_fpr(
    scores_RN: np.ndarray, members_RN: np.ndarray, rate: float, confidence: float, *, inflation: float = 1.0
) -> Measured:
    """Return the mean TPR over runs, each threshold fixed on the non-members of all other runs; n = runs.

    It shows what such training leaks at a low FPR if one run has too few non-members to show it. Members of all runs are
    counted together, over the thresholds that all non-members together leave possible (`tpr_at_fpr`). If runs differ by more
    than chance, counts are divided by the design effect (Kish 1965). That is the variance of the mean over runs, enlarged as
    in a t-interval over as many runs, divided by the variance of independent records. The interval is therefore never
    narrower than the records require, and with few runs wider than necessary.

    Args:
        scores_RN: scores of all runs, each attacked with the others as references.
        members_RN: the truth of at least two runs.
        rate: false positive rate, e.g. 0.001.
        confidence: level of the interval.
        inflation: factor on the variance of the mean over runs, for attacks that make runs share terms.
    """
    outside, num_members = scores_RN[~members_RN], int(members_RN.sum())
    if len(scores_RN) < 2 or int(rate * len(outside) + 1e-9) < 1 or not num_members:
        reason = (
            f"FPR {rate:g} over runs needs 2 runs, {round(1 / rate)} non-members in all and a member, "
            f"found {len(scores_RN)}, {len(outside)} and {num_members}"
        )
        return NotMeasurable(reason, len(scores_RN))
    tpr_R = _tpr_at_others(scores_RN, members_RN, rate)
    value, effect = float(tpr_R.mean()), _design_effect(tpr_R, num_members, inflation, confidence)
    found = members_above(scores_RN[members_RN], outside, rate)[1]
    low, high = mixed_ends(found / effect, len(outside), num_members / effect, rate, confidence)
    method = f"Clopper-Pearson mixed over thresholds of all runs, design effect {effect:.2f}"
    return Estimate(value, min(value, low), max(value, high), len(scores_RN), method)


def ppv_at_fpr(tpr: Measured, rate: float, prior: float) -> Measured:
    """Return the share of members among the records called members, where FPR is `rate` and `prior` of all are members.

    prior TPR / (prior TPR + (1 - prior) FPR) rises with TPR, so the interval of `tpr` is converted end by end.

    Args:
        tpr: at the threshold that exactly `rate` of non-members pass, e.g. from `tpr_at_fpr` or `pooled_tpr_at_fpr`.
        rate: false positive rate, above 0.
        prior: share of members among the records that the attacker tests, in (0, 1), e.g. from `PRIORS`.
    """
    if isinstance(tpr, NotMeasurable):
        return tpr
    value, low, high = (prior * each / (prior * each + (1 - prior) * rate) for each in (tpr.value, tpr.low, tpr.high))
    return Estimate(value, low, high, tpr.n, f"prior {prior:.3g}; {tpr.method}")


def ppv_at_threshold(scores: np.ndarray, members: np.ndarray, threshold: float, prior: float, confidence: float) -> Measured:
    """Return the share of members among the records called members, where `prior` of all are members; n = records called.

    Clopper-Pearson on the members among the records called members: given their number, they are binomial with odds
    TPR / FPR times those of the set. These odds are then converted to the prior. Exact for rare calls, else conservative.

    Args:
        scores: float64 [N], higher = more likely a member.
        members: the truth, bool [N], with records of both kinds.
        threshold: scores above it are called members; it must not come from these records.
        prior: share of members among the records that the attacker tests, in (0, 1), e.g. from `PRIORS`.
        confidence: level of the interval.
    """
    called = scores > threshold
    if not called.any():
        return NotMeasurable(f"no record of {len(scores)} scores above {threshold:.6g}", 0)
    if members.all() or not members.any():
        return NotMeasurable(f"{int(members.sum())} members and {int((~members).sum())} non-members", len(scores))
    found, number = int(members[called].sum()), int(called.sum())
    factor = prior / (1 - prior) * (~members).sum() / members.sum()
    ends = (found / number, *clopper_pearson(found, number, confidence))
    value, low, high = (float(factor * share / (factor * share + 1 - share)) for share in ends)
    return Estimate(value, low, high, number, f"Clopper-Pearson over the records called members, prior {prior:.3g}")


def _share(hits: np.ndarray, confidence: float) -> Measured:
    if not len(hits):
        return NotMeasurable("no such record", 0)
    low, high = clopper_pearson(int(hits.sum()), len(hits), confidence)
    return Estimate(float(hits.mean()), low, high, len(hits), "Clopper-Pearson, threshold fixed beforehand")


def _tpr_at_others(scores_RN: np.ndarray, members_RN: np.ndarray, rate: float) -> np.ndarray:
    """Return the TPR of every run [R] at the lowest threshold that at most `rate` of the others' non-members pass."""
    counts_R = (~members_RN).sum(axis=1)
    outside, allowed_R = scores_RN[~members_RN], (rate * (counts_R.sum() - counts_R) + 1e-9).astype(int)
    rest = max(0, len(outside) - int((allowed_R + counts_R).max()) - 1)  # no threshold lies among so many of the lowest
    chosen = np.argpartition(outside, rest)[rest:] if rest else np.arange(len(outside))
    highest = chosen[np.argsort(-outside[chosen])]
    runs = np.repeat(np.arange(len(counts_R)), counts_R)[highest]
    places = np.split(np.argsort(runs, kind="stable"), np.cumsum(np.bincount(runs, minlength=len(counts_R)))[:-1])
    found = np.zeros(len(scores_RN))
    for run, (scores, members, own, allowed) in enumerate(zip(scores_RN, members_RN, places, allowed_R, strict=True)):
        others = np.arange(len(own))  # before each of its own
        place = allowed + int(np.searchsorted(own - others, allowed, side="right"))
        if place < len(highest) and members.any():
            found[run] = (scores[members] > outside[highest[place]]).mean()
    return found


def _design_effect(tpr_R: np.ndarray, num_members: int, inflation: float, confidence: float) -> float:
    """Return the variance of the mean of `tpr_R` divided by that of independent records, at least 1."""
    value = float(tpr_R.mean())
    few_runs = float(student_t.ppf((1 + confidence) / 2, len(tpr_R) - 1)) / critical_value(confidence)
    by_records = value * (1 - value) / num_members
    by_runs = inflation * few_runs**2 * float(tpr_R.var(ddof=1)) / len(tpr_R)
    return max(1.0, by_runs / by_records) if by_records > 0 else 1.0
