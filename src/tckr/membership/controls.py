"""Controls: checks of the audit itself, without which there is no verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.stats import norm, rankdata
from scipy.stats import t as student_t

from tckr.artifacts.audit import SHARED_GENERATOR, Control
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.findings import target_scores, usable_scorers
from tckr.membership.planted import planted
from tckr.membership.scorers import QUANTILES
from tckr.membership.scorers.quantile_regression import Spread
from tckr.membership.scorers.references import TallySums, tally
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import auc
from tckr.metrics.proportions import critical_value
from tckr.surfaces import sees_images

FAMILY_ERROR = 0.05
"""Probability that a sound audit fails one of its null checks, over all scorers and surfaces (Bonferroni)."""

PARITY_ERROR = 0.04
"""Probability that a sound audit fails one of its parity checks, over all signals (Bonferroni)."""

POSITIVE_SCORER = "lira_offline_fixed_variance"
"""Attack on the memorizing model. It only measures how unusual a signal is for models that were not trained on the
record. An online attack learns from reference runs without memorization that there is no effect, and rightly misses a model
unlike them."""

POSITIVE_EFFECT = 0.2
"""Minimum effect, in standard deviations, by which the trained memorizer must be surer of members: a small effect (Cohen
1988). It is not larger because a network that memorizes easy images is nearly as sure of those it was not trained on."""

POSITIVE_BAR = float(norm.cdf(POSITIVE_EFFECT / 2**0.5))
"""AUC of that effect, 0.556. The AUC of the memorizer must reach it, and its interval must lie above 0.5."""

MIN_RUNS_FOR_PARITY = 4
"""Minimum number of runs. With fewer, the prediction interval of one more run is so wide that every run would pass."""


def controls(
    config: MembershipConfig, evidence: Evidence, telling: Mapping[NullCheck, float], family_level: float
) -> list[Control]:
    """Return all checks that the evidence allows; `telling`: p-values of the checks that are findings."""
    referenced = [signal for signal in evidence.signals if evidence.has_references(signal)]
    declared = [evidence.signals_of(surface)[0] for surface in evidence.measured_surfaces]
    planned = planned_nulls(config, evidence)
    level = null_confidence(len(planned))
    found = [
        tell(evidence, check, level, telling[check], family_level) if check.finding else null(evidence, check, level)
        for check in planned
    ]
    for signal in referenced:
        if signal in evidence.controls.get("positive", {}):
            scorers = dict.fromkeys((POSITIVE_SCORER, config.scorer))
            found += [positive(config, evidence, signal, scorer) for scorer in scorers]
    found += [planted(config, evidence, signal) for signal in referenced if signal in declared]
    return found + parity(config, evidence)


@dataclass(frozen=True)
class NullCheck:
    """An attack whose true AUC is 0.5: on the signal `queried` of the null control, with the references of `signal`.

    `finding`: a failed check means that the shared generator leaks, not that the audit is broken.
    """

    signal: str
    scorer: str
    queried: str
    finding: bool = False


def planned_nulls(config: MembershipConfig, evidence: Evidence) -> list[NullCheck]:
    """Return the null checks, which depend only on what was measured, never on the results.

    The null control of a shared generator's Student was trained on the target's images, so a leak that it shows came
    through these images. The null Teacher was trained on neither records nor images. Compared with Students that were all
    trained on those images, it looks unusually unsure of the target's members.
    """
    queried = evidence.controls.get("null", {})
    found = []
    for signal in evidence.signals:
        through_images = config.shares_generator and sees_images(evidence.surface_of(signal))
        scorers = usable_scorers(evidence, signal)
        if signal in queried:
            found += [NullCheck(signal, scorer, signal, finding=through_images) for scorer in scorers]
        if through_images and signal == "student" and evidence.has_references(signal) and "teacher" in queried:
            with_references = [name for name, scorer in scorers.items() if scorer.needs_references]
            found += [NullCheck(signal, scorer, "teacher", finding=True) for scorer in with_references]
    return found


def regress_side_by_side(config: MembershipConfig, evidence: Evidence, spread: Spread | None) -> None:
    """With `spread`, compute all quantile regressions now, in other processes: of the target and of the null control."""
    if spread is None or evidence.quantile_attack is None:
        return
    attacked = [signal for surface in evidence.measured_surfaces for signal in evidence.signals_of(surface)]
    nulls = dict.fromkeys(check.queried for check in planned_nulls(config, evidence) if check.scorer == QUANTILES)
    signals = [*(evidence.signals[signal][0] for signal in attacked), *(evidence.controls["null"][name] for name in nulls)]
    evidence.quantile_attack.rate_all(signals, spread)


def null_confidence(num_checks: int) -> float:
    """Return the level of one null check such that a sound audit passes all of them with probability 0.95."""
    return 1 - FAMILY_ERROR / max(1, num_checks)


def judge_scores(evidence: Evidence, scores: np.ndarray, confidence: float) -> Measured:
    """Return the AUC of scores [N] of a control, as that of the target is computed."""
    return auc(scores, evidence.members[0], confidence, evidence.compared_within)


def null(evidence: Evidence, check: NullCheck, confidence: float) -> Control:
    """Attack a run that saw none of the records: the truth is 0.5, whatever the scorer."""
    found = judge_scores(evidence, target_scores(evidence, check.signal, check.queried)[check.scorer], confidence)
    return Control(
        name="null",
        surface=evidence.surface_of(check.signal),
        signal=check.signal,
        measure=check.scorer,
        passed=isinstance(found, Estimate) and found.covers(0.5),
        decides=True,
        expected=f"AUC interval covers 0.5 at {confidence:.2%} (all null checks together: {1 - FAMILY_ERROR:.0%})",
        found=found,
    )


def tell(evidence: Evidence, check: NullCheck, confidence: float, family_p_value: float, level: float) -> Control:
    """Attack a run that was trained on nothing but the shared images: what its scores show of the members is in the images.

    Reference Students share the target's generator below depth `full`. If that generator memorized its members, all of
    these Students are surer of them. A model without this information then looks unusually unsure of them, and its AUC falls
    below 0.5. Whether it differs from 0.5 is decided together with all other findings at the family's level
    (`family.judge_together`), not by the interval.
    """
    found = judge_scores(evidence, target_scores(evidence, check.signal, check.queried)[check.scorer], confidence)
    return Control(
        name=SHARED_GENERATOR,
        surface=evidence.surface_of(check.signal),
        signal=check.signal,
        measure=check.scorer,
        passed=family_p_value > level,
        decides=False,
        expected=f"AUC 0.5: p-value, all findings counted, above {level:g}; found {_one_digit(family_p_value, level)}",
        found=found,
    )


def _one_digit(p_value: float, level: float) -> str:
    """Return a p-value with one digit, rounded away from `level`: more digits would reveal something about the members."""
    if p_value < 0.001:
        return "below 0.001"
    unit = 10.0 ** math.floor(math.log10(p_value))
    digits = math.ceil(p_value / unit) if p_value > level else max(1, math.floor(p_value / unit))
    return f"{digits * unit:.1g}"


def positive(config: MembershipConfig, evidence: Evidence, signal: str, scorer: str) -> Control:
    """Attack a run that was made to memorize the target's members: the attack must detect it.

    Below depth `full` only the Teacher can memorize, because the images are the target's; so only the Teacher decides on
    that surface. Captions have no memorizer except the target's own, which may reveal nothing; the result is then only
    shown. A memorizer is surer of every image than models that did not memorize, so its signals are first put on their
    scale.
    """
    surface = evidence.surface_of(signal)
    references = evidence.signals[signal][1:]
    signals = np.vstack([on_reference_scale(evidence.controls["positive"][signal], references), references])
    scores = usable_scorers(evidence, signal)[scorer].score(signals, evidence.members_of(signal), 0)
    found = judge_scores(evidence, scores, config.confidence)
    decides_here = surface == "teacher" or (not config.shares_generator and surface != "captions")
    return Control(
        name="positive",
        surface=surface,
        signal=signal,
        measure=scorer,
        passed=isinstance(found, Estimate) and found.value >= POSITIVE_BAR and found.low > 0.5,
        decides=decides_here and scorer == POSITIVE_SCORER and signal == evidence.signals_of(surface)[0],
        expected=f"AUC at least {POSITIVE_BAR:.3f}, and its interval above 0.5",
        found=found,
    )


def on_reference_scale(signals_N: np.ndarray, references_RN: np.ndarray) -> np.ndarray:
    """Return the signals in the same order, with the distribution of all reference signals; membership is not used."""
    levels = (rankdata(signals_N) - 0.5) / len(signals_N)
    return np.quantile(references_RN, levels)


@dataclass(frozen=True)
class Compared:
    """What parity compares: for each run, the differences over records that the run was not trained on."""

    signal: str
    measure: str
    runs: list[np.ndarray]


def parity(config: MembershipConfig, evidence: Evidence) -> list[Control]:
    """Check that the target differs from the reference runs on its non-members as much as they do from one another."""
    compared = [
        each for signal in evidence.signals if evidence.has_references(signal) for each in _compare(config, evidence, signal)
    ]
    confidence = 1 - PARITY_ERROR / max(1, len(compared))
    return [_parity_of(evidence.surface_of(each.signal), each, confidence, config.confidence) for each in compared]


def _compare(config: MembershipConfig, evidence: Evidence, signal: str) -> list[Compared]:
    """Return the comparison of one signal.

    A generator shared by all Students may have memorized the target's members. Models trained on its images are
    therefore compared on records that are members neither of the run nor of the target.
    """
    surface, members = evidence.surface_of(signal), evidence.members_of(signal)
    through_images = config.shares_generator and sees_images(surface)
    unseen = ~members[0] if through_images else np.ones_like(members[0])
    values = {"mean": evidence.signals[signal]}
    if signal in evidence.correct:
        values["accuracy"] = evidence.correct[signal].astype(np.float64)
    return [Compared(signal, measure, beside_references(each, members, unseen)) for measure, each in values.items()]


def beside_references(values_RN: np.ndarray, members_RN: np.ndarray, unseen_N: np.ndarray) -> list[np.ndarray]:
    """Return for every run its values minus the mean of the (other) reference runs that were not trained on the record.

    Used are records that the run was not trained on, that `unseen_N` allows, and for which there is such a reference run.
    The comparison is record by record, so the runs' non-members need not be equally hard.
    """
    references = (sums.sides()[1] for _, sums in TallySums.without_each(values_RN[1:], members_RN[1:]))
    found = []
    for values, row, other in zip(
        values_RN, members_RN, chain([tally(values_RN, members_RN, 0)[1]], references), strict=True
    ):
        found.append((values - other.mean)[~row & unseen_N & (other.count > 0)])
    return found


def _parity_of(surface: str, compared: Compared, confidence: float, level: float) -> Control:
    target, *references = compared.runs
    if len(references) < MIN_RUNS_FOR_PARITY:
        return _too_few_runs(surface, compared, len(references))
    if min(map(len, compared.runs)) == 0:
        return _too_few_runs(surface, compared, len(references))
    moments_of = _smoothed if compared.measure == "accuracy" else _moments
    found = _mean(target, level)
    low, high = prediction_interval([moments_of(run) for run in references], confidence)
    return Control(
        name="parity",
        surface=surface,
        signal=compared.signal,
        measure=compared.measure,
        passed=isinstance(found, Estimate) and low <= found.value <= high,
        decides=True,
        expected=f"{low:.3g} to {high:.3g} ({confidence:.1%} prediction interval of the reference runs)",
        found=found,
    )


def prediction_interval(runs: list[tuple[float, float]], confidence: float) -> tuple[float, float]:
    """Return the interval in which one more run of the same kind falls with probability `confidence` (Student's t).

    `runs` holds (mean, sampling variance of that mean) of each reference run. The variance between runs is taken to be
    at least the sampling variance, so that reference runs that agree by chance do not make the next run fail.
    """
    means = np.array([mean for mean, _ in runs])
    variance = max(float(means.var(ddof=1)), float(np.mean([sampling for _, sampling in runs])))
    quantile = student_t.ppf((1 + confidence) / 2, len(means) - 1)
    half = float(quantile * (variance * (1 + 1 / len(means))) ** 0.5)
    return float(means.mean()) - half, float(means.mean()) + half


def _smoothed(differences: np.ndarray) -> tuple[float, float]:
    """Return mean and sampling variance; the variance is above zero even where all runs agree on every record."""
    return float(differences.mean()), float(((differences**2).sum() + 1) / (len(differences) + 2) / len(differences))


def _moments(differences: np.ndarray) -> tuple[float, float]:
    return float(differences.mean()), float(differences.var() / len(differences))


def _mean(values: np.ndarray, confidence: float) -> Estimate:
    mean, variance = _moments(values)
    half = critical_value(confidence) * variance**0.5
    return Estimate(mean, mean - half, mean + half, len(values), "normal interval")


def _too_few_runs(surface: str, compared: Compared, runs: int) -> Control:
    return Control(
        name="parity",
        surface=surface,
        signal=compared.signal,
        measure=compared.measure,
        passed=False,
        decides=False,
        expected=f"within the prediction interval of at least {MIN_RUNS_FOR_PARITY} reference runs",
        found=NotMeasurable(f"fewer than {MIN_RUNS_FOR_PARITY} reference runs", runs),
    )
