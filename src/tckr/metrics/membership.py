"""Measure how well attack scores tell members from non-members: AUC, TPR at low FPR, epsilon, each with an interval.

Everywhere `scores` is float64 [N], higher meaning "more likely a member", and `members` is the truth, bool [N].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, betaincc, betaincinv, expit, logit
from scipy.stats import binom

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.proportions import clopper_pearson, critical_value, wilson
from tckr.metrics.results import EpsilonBound

FALSE_POSITIVE_RATES = ("0.1", "0.01", "0.001")
MAX_ROC_POINTS = 400
MIN_ERRORS = 10
NO_VARIANCE = 1e-14
IGNORED = 1e-9
"""Probability in each tail of the number of non-members that pass a threshold."""


def auc(
    scores: np.ndarray,
    members: np.ndarray,
    confidence: float,
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Measured:
    """Return P(member's score > non-member's) + P(tie) / 2 with an interval over records.

    With `strata`, int64 [N], only members and non-members of the same stratum are compared, so an attack gains nothing from
    knowing the strata's membership rates. With `groups`, int64 [N], all records of a group are members or none is, and a
    group counts as one observation: the contributions of its records to the variance are added first (Obuchowski 1997).

    DeLong's variance (1988) on the logit scale. It is too narrow (zero at AUC 1) if fewer than 10 records of the rarer kind
    are expected on the wrong side. The interval is then Clopper-Pearson over disjoint pairs of a member and a non-member.
    This is conservative, because the AUC averages over all such pairings and varies less than any single one (Hoeffding
    1963).
    """
    num_pairs = sum(min(int(chosen.sum()), len(chosen) - int(chosen.sum())) for chosen in _by_stratum(members, strata))
    if groups is not None:
        num_pairs = min(num_pairs, *(len(np.unique(groups[side])) for side in (members, ~members)))
    if num_pairs == 0:
        within = "" if strata is None else " in different strata"
        return NotMeasurable(f"{int(members.sum())} members and {int((~members).sum())} non-members{within}", len(members))
    value, influence_N = auc_influence(scores, members, strata)
    variance = float((influence_N**2).sum()) if groups is None else _variance_over_groups(influence_N, members, groups)
    if num_pairs * min(value, 1 - value) < MIN_ERRORS or variance < NO_VARIANCE:
        low, high = clopper_pearson(num_pairs * value, num_pairs, confidence)
        method = f"Clopper-Pearson over {num_pairs} disjoint pairs"
    else:
        half = critical_value(confidence) * variance**0.5 / (value * (1 - value))
        low, high = float(expit(logit(value) - half)), float(expit(logit(value) + half))
        method = "DeLong on the logit scale" + ("" if groups is None else ", over groups of records")
    method += "" if strata is None else ", within classes"
    return Estimate(value, min(value, low), max(value, high), len(members), method)


def auc_influence(scores: np.ndarray, members: np.ndarray, strata: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """Return the AUC and each record's share of its deviation, float64 [N]; the sum of their squares is DeLong's variance.

    A member's share is (the share of non-members below it, minus the AUC) / the number of members; likewise for non-members.
    The AUC of strata is the mean over all pairs of a member and a non-member of the same stratum. If a stratum has only one
    member, which has no spread, that member is compared with the AUC of all strata.
    """
    parts, weights = _compared(members, strata)
    placed = [placements(scores[part], members[part]) for part in parts]
    value = float(weights @ [of_members.mean() for of_members, _ in placed])
    influence_N = np.zeros(len(members))
    for part, weight, (of_members, of_others) in zip(parts, weights, placed, strict=True):
        inside = members[part]
        influence_N[part[inside]] = weight * _deviations(of_members, value)
        influence_N[part[~inside]] = weight * _deviations(of_others, value)
    return value, influence_N


def auc_value(scores: np.ndarray, members: np.ndarray, strata: np.ndarray | None = None) -> float:
    """Return the AUC of `auc_influence` alone, six times as fast: both kinds of records are sorted, and met in order."""
    parts, weights = _compared(members, strata)
    return float(weights @ [_share_of_pairs(scores[part], members[part]) for part in parts])


def _compared(members: np.ndarray, strata: np.ndarray | None) -> tuple[list[np.ndarray], np.ndarray]:
    """Return which records are compared with one another, and the share of all pairs in each such part."""
    parts = [np.arange(len(members))] if strata is None else [np.flatnonzero(strata == each) for each in np.unique(strata)]
    parts = [part for part in parts if 0 < members[part].sum() < len(part)]
    pairs = np.array([int(members[part].sum()) * int((~members[part]).sum()) for part in parts])
    return parts, pairs / pairs.sum()


def _share_of_pairs(scores: np.ndarray, members: np.ndarray) -> float:
    assert not np.isnan(scores).any(), "attack scores must be numbers"
    inside, outside = np.sort(scores[members]), np.sort(scores[~members])
    twice_below = sum(int(np.searchsorted(outside, inside, side).sum()) for side in ("left", "right"))
    return twice_below / (2 * len(inside) * len(outside))


def _variance_over_groups(influence_N: np.ndarray, members: np.ndarray, groups: np.ndarray) -> float:
    """Return the variance of the AUC if all records of a group are members or none is; unbiased like DeLong's."""
    variance = 0.0
    for side in (members, ~members):
        numbers, own = np.unique(groups[side], return_inverse=True)
        count, found = int(side.sum()), len(numbers)
        scale = (1 - 1 / count) / (1 - 1 / found) if min(count, found) > 1 else 1.0
        variance += scale * float((np.bincount(own, influence_N[side]) ** 2).sum())
    return variance


def _by_stratum(members: np.ndarray, strata: np.ndarray | None) -> list[np.ndarray]:
    return [members] if strata is None else [members[strata == each] for each in np.unique(strata)]


def _deviations(placed: np.ndarray, overall: float) -> np.ndarray:
    """Return deviations from the mean, scaled so that their squares sum to its unbiased variance if there are several."""
    if len(placed) == 1:
        return placed - overall
    return (placed - placed.mean()) / (len(placed) * (len(placed) - 1)) ** 0.5


def auc_difference(
    scores: np.ndarray, baseline: np.ndarray, members: np.ndarray, confidence: float, strata: np.ndarray | None = None
) -> Measured:
    """Return AUC of `scores` minus AUC of `baseline` on the same records, by DeLong's paired variance.

    If that variance is zero, the two separate intervals are combined as if independent (MOVER, Zou and Donner 2008); wide.
    """
    first, second = auc(scores, members, confidence, strata), auc(baseline, members, confidence, strata)
    if isinstance(first, NotMeasurable) or isinstance(second, NotMeasurable):
        return first if isinstance(first, NotMeasurable) else second
    influence, other = (auc_influence(each, members, strata)[1] for each in (scores, baseline))
    variance = float(((influence - other) ** 2).sum())
    value = first.value - second.value
    if variance > NO_VARIANCE and min(members.sum(), (~members).sum()) > 1:
        below = above = critical_value(confidence) * variance**0.5
    else:
        below = np.hypot(first.value - first.low, second.high - second.value)
        above = np.hypot(first.high - first.value, second.value - second.low)
    low, high = max(-1.0, value - float(below)), min(1.0, value + float(above))
    return Estimate(value, low, high, len(members), "paired DeLong")


def placements(scores: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each member's share of non-members below it, each non-member's share of members above it; ties count half."""
    assert not np.isnan(scores).any(), "attack scores must be numbers"
    inside, outside = scores[members], scores[~members]
    return _share_below(inside, outside), 1 - _share_below(outside, inside)


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(others))


def tpr_at_fpr(scores: np.ndarray, members: np.ndarray, rate: float, confidence: float) -> Measured:
    """Return the share of members above the lowest threshold that at most `rate` of the non-members pass.

    The interval is about the threshold that exactly `rate` of all such non-members would pass. These non-members only
    estimate it: of the n found, K ~ Binomial(n, rate) pass it, so it lies between the K-th and the next one. For each K, the
    number of members above it is bounded by the members above these two, with Clopper-Pearson's Beta distribution; the ends
    are quantiles of their mixture over K. With fewer than 3.7 expected false positives K may be 0, and the lower end is 0.
    Tied non-members pass together or not at all.
    """
    inside, outside = scores[members], scores[~members]
    allowed = int(rate * len(outside) + 1e-9)
    if allowed < 1 or len(inside) == 0:
        reason = f"FPR {rate:g} needs {round(1 / rate)} non-members and a member, found {len(outside)} and {len(inside)}"
        return NotMeasurable(reason, len(outside))
    highest, found = members_above(inside, outside, rate)
    value = found[allowed + 1] / len(inside)
    false = int((outside > highest[allowed]).sum()) if allowed < len(outside) else len(outside)
    low, high = mixed_ends(found, len(outside), len(inside), rate, confidence)
    method = f"Clopper-Pearson mixed over thresholds; {false} of {len(outside)} non-members pass the one shown"
    return Estimate(float(value), min(float(value), low), max(float(value), high), len(inside), method)


def members_above(inside: np.ndarray, outside: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest non-members, falling, and how many members are above none, the first, the second, ... of them.

    They are those that may pass the threshold that `rate` of all such non-members pass; below the last of all are no more.
    """
    number = min(len(outside), _passing(len(outside), rate)[1] + 1)
    rest = len(outside) - number
    highest = np.sort(np.partition(outside, rest)[rest:] if rest else outside)[::-1]
    above = np.sort(inside[inside > highest[-1]] if rest else inside)
    found = len(above) - np.searchsorted(above, np.append(np.inf, highest), side="right")
    return highest, found if rest else np.append(found, len(inside))


def _passing(trials: int, rate: float) -> tuple[int, int]:
    """Return how many non-members pass that threshold at least and at most."""
    first, last = binom.ppf([IGNORED, 1 - IGNORED], trials, rate).astype(int)
    return int(first), int(last)


def mixed_ends(found: np.ndarray, trials: int, num_members: float, rate: float, confidence: float) -> tuple[float, float]:
    """Return the ends of the interval of the TPR; `found`: members above none, the first, ... of `trials` non-members.

    `found` (`members_above`) and `num_members` may be effective counts, fractions of the true ones.
    """
    first, last = _passing(trials, rate)
    passing = np.arange(first, last + 1)
    weights = binom.pmf(passing, trials, rate)
    weights /= weights.sum()
    fewest, most = found[passing], found[passing + 1]
    some, left = fewest > 0, num_members - most
    fewest_of_some, left_of_some = np.where(some, fewest, 1), np.where(left > 0, left, 1)

    def below(share: float) -> float:
        """Return the probability that the lower Beta variable is below `share`; a Beta(0, .) is 0."""
        return float(weights @ np.where(some, betainc(fewest_of_some, num_members - fewest + 1, share), 1.0))

    def above(share: float) -> float:
        """Return the probability that the upper Beta variable is above `share`; a Beta(., 0) is 1."""
        return float(weights @ np.where(left > 0, betaincc(most + 1, left_of_some, share), 1.0))

    tail = (1 - confidence) / 2
    low = 0.0 if below(0.0) >= tail else float(brentq(lambda share: below(share) - tail, 0.0, 1.0))
    high = 1.0 if above(1.0) >= tail else float(brentq(lambda share: above(share) - tail, 0.0, 1.0))
    return low, high


def balanced_accuracy(scores: np.ndarray, members: np.ndarray, threshold: float, confidence: float) -> Measured:
    """Return (TPR + TNR) / 2 of calling scores above `threshold` members; `threshold` must not come from these records.

    Two Wilson intervals combined as independent (MOVER, Zou and Donner 2008).
    """
    hits, trials = [], []
    for right in (scores[members] > threshold, scores[~members] <= threshold):
        hits.append(int(right.sum()))
        trials.append(len(right))
    if min(trials) == 0:
        return NotMeasurable(f"{trials[0]} members and {trials[1]} non-members", len(members))
    rates = [hit / n for hit, n in zip(hits, trials, strict=True)]
    ends = [wilson(hit, n, confidence) for hit, n in zip(hits, trials, strict=True)]
    below = np.linalg.norm([rate - low for rate, (low, _) in zip(rates, ends, strict=True)]) / 2
    above = np.linalg.norm([high - rate for rate, (_, high) in zip(rates, ends, strict=True)]) / 2
    value, method = sum(rates) / 2, "Wilson intervals combined (MOVER), threshold fixed on the reference runs"
    return Estimate(value, max(0.0, value - float(below)), min(1.0, value + float(above)), len(members), method)


def epsilon_lower_bound(
    scores: np.ndarray, members: np.ndarray, threshold: float, confidence: float, delta: float
) -> EpsilonBound:
    """Return the epsilon that this attack refutes at `confidence`; `threshold` must not come from these records.

    An (epsilon, delta)-private training allows no attack with FPR + e^epsilon FNR < 1 - delta, and none with the rates
    exchanged (Kairouz et al. 2015). The upper Clopper-Pearson ends of both rates, each at half the error probability, are
    inserted (Nasr et al. 2021). Records count as independent trials, which is only approximately true within one training
    run.
    """
    num_members, num_others = int(members.sum()), int((~members).sum())
    positives, false = int((scores[members] > threshold).sum()), int((scores[~members] > threshold).sum())
    counts = (np.array(num_members - positives), num_members), (np.array(false), num_others)
    return EpsilonBound(
        value=float(epsilon_from_counts(*counts, confidence=confidence, delta=delta)),
        confidence=confidence,
        delta=delta,
        threshold=float(threshold),
        true_positives=positives,
        false_positives=false,
        num_members=num_members,
        num_non_members=num_others,
        method="Clopper-Pearson on FPR and FNR as of independent trials, threshold fixed on the reference runs",
    )


def epsilon_from_counts(
    missed: tuple[np.ndarray, float], false: tuple[np.ndarray, float], *, confidence: float, delta: float
) -> np.ndarray:
    """Return max(0, log((1 - delta - FPR) / FNR), log((1 - delta - FNR) / FPR)) at the rates' upper confidence ends.

    `missed` is (members not found, members), `false` is (non-members called members, non-members); shapes must be equal.
    """
    fnr, fpr = _upper_end(*missed, confidence), _upper_end(*false, confidence)
    return np.log(np.maximum(np.maximum((1 - delta - fpr) / fnr, (1 - delta - fnr) / fpr), 1.0))


def _upper_end(counts: np.ndarray, trials: float, confidence: float) -> np.ndarray:
    """Return the upper Clopper-Pearson ends, each exceeded with probability (1 - confidence) / 2."""
    ends = betaincinv(counts + 1, np.maximum(trials - counts, 1e-9), (1 + confidence) / 2)
    return np.where(counts < trials, ends, 1.0)


def auc_by_class(
    scores: np.ndarray,
    members: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    confidence: float,
    *,
    groups: np.ndarray | None = None,
) -> dict[str, Measured]:
    """Return the AUC among the records of each class; `labels` int64 [N] index `class_names`, `groups` as in `auc`."""
    of_class = {name: labels == index for index, name in enumerate(class_names)}
    return {
        name: auc(scores[chosen], members[chosen], confidence, groups=None if groups is None else groups[chosen])
        for name, chosen in of_class.items()
    }


def roc_curve(scores: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return FPR and TPR at every distinct threshold, from (0, 0) to (1, 1); empty without both kinds of records."""
    if members.all() or not members.any():
        return np.empty(0), np.empty(0)
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(members[order])[last_of_ties]
    false = last_of_ties + 1 - true
    return np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])


def roc_points(scores: np.ndarray, members: np.ndarray) -> list[tuple[float, float]]:
    """Return at most 400 (FPR, TPR) points of the ROC curve, evenly spaced over log FPR, for logarithmic axes."""
    fpr, tpr = roc_curve(scores, members)
    if len(fpr) > MAX_ROC_POINTS:
        smallest = 1 / max(1, int((~members).sum()))
        wanted = np.geomspace(smallest, 1, MAX_ROC_POINTS - 2)
        keep = np.unique(np.concatenate([[0], np.searchsorted(fpr, wanted, side="right") - 1, [len(fpr) - 1]]))
        fpr, tpr = fpr[keep], tpr[keep]
    return [(float(x), float(y)) for x, y in zip(fpr, tpr, strict=True)]
