"""Checks of the audit itself: without them there is no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata
from scipy.stats import t as student_t

from tckr.artifacts.audit import SHARED_GENERATOR, Control
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.findings import usable_scorers
from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.references import TallySums, tally, without_each
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import auc
from tckr.metrics.proportions import critical_value
from tckr.surfaces import sees_images

FAMILY_ERROR = 0.05
"""Chance that a sound audit fails one of its null checks, all scorers and surfaces together (Bonferroni)."""

PARITY_ERROR = 0.04
"""Chance that a sound audit fails one of its parity checks, all signals together (Bonferroni)."""

NO_SPREAD = 1e-9
"""Below this, the runs do not differ on a record; it is then moved by so little that only the exact order tells."""

POSITIVE_SCORER = "lira_offline_fixed_variance"
"""The attack on the memorizing model. It asks only how unusual a signal is for models that did not see the record. An
online attack learns from well-behaved reference runs that there is nothing to look for, and rightly misses a model unlike
them."""

POSITIVE_EFFECT = 0.2
"""By how many standard deviations the trained memorizer must be surer of members at least: a small effect (Cohen 1988). Not
more: a network that memorizes easy images is nearly as sure of those it never saw."""

POSITIVE_BAR = float(norm.cdf(POSITIVE_EFFECT / 2**0.5))
"""AUC of that effect, 0.556. The AUC of the memorizer must reach it, and its interval must lie above 0.5."""

MIN_RUNS_FOR_PARITY = 4
"""With fewer, the prediction interval of one more run is so wide that it would pass anything."""

PLANTED_EFFECT = 1.0
"""How far planted members are moved, in standard deviations of that record's signal between runs."""

PLANTED_IDEAL = float(norm.cdf(PLANTED_EFFECT / 2**0.5))
"""AUC of an attack that knows each record's mean, if all vary alike: P(member above non-member), 0.760."""

PLANTED_BAR = 0.5 + 0.5 * (PLANTED_IDEAL - 0.5)
"""The lower end of the AUC interval must be above half of the way from guessing to the ideal, 0.630."""


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
    """An attack whose truth is known to be 0.5: on `asked` of the null control, with the references of `signal`.

    `finding`: failing it says that the shared generator leaks, not that the audit is broken.
    """

    signal: str
    scorer: str
    asked: str
    finding: bool = False


def planned_nulls(config: MembershipConfig, evidence: Evidence) -> list[NullCheck]:
    """Return the null checks, which depend on what was measured and never on what was found.

    The null control of a shared generator's Student learned from the target's images: what it shows, the images told it. The
    null Teacher knows nothing at all; beside Students that all saw those images it looks unusually unsure of their members.
    """
    asked = evidence.controls.get("null", {})
    found = []
    for signal in evidence.signals:
        through_images = config.shares_generator and sees_images(evidence.surface_of(signal))
        scorers = usable_scorers(evidence, signal)
        if signal in asked:
            found += [NullCheck(signal, scorer, signal, finding=through_images) for scorer in scorers]
        if through_images and signal == "student" and evidence.has_references(signal) and "teacher" in asked:
            with_references = [name for name, scorer in scorers.items() if scorer.needs_references]
            found += [NullCheck(signal, scorer, "teacher", finding=True) for scorer in with_references]
    return found


def null_confidence(num_checks: int) -> float:
    """Return the level of one null check such that all of them pass a sound audit with probability 0.95."""
    return 1 - FAMILY_ERROR / max(1, num_checks)


def attack_control(evidence: Evidence, signal: str, scorer: str, control_N: np.ndarray, confidence: float) -> Measured:
    """Return the AUC of the attack on a control with the very reference runs that the target is attacked with."""
    scores = control_scores(evidence, signal, scorer, control_N)
    return auc(scores, evidence.members[0], confidence, evidence.compared_within)


def control_scores(evidence: Evidence, signal: str, scorer: str, control_N: np.ndarray) -> np.ndarray:
    """Return the scores of a control with the target's reference runs."""
    signals = np.vstack([control_N, evidence.signals[signal][1:]])
    return usable_scorers(evidence, signal)[scorer].score(signals, evidence.members_of(signal), 0)


def null(evidence: Evidence, check: NullCheck, confidence: float) -> Control:
    """Attack a run that saw none of the records: the truth is 0.5, whatever the scorer."""
    found = attack_control(evidence, check.signal, check.scorer, evidence.controls["null"][check.asked], confidence)
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
    """Attack a run that knows nothing but the shared images: what its scores say of the members, the images told it.

    Reference Students share the target's generator below depth `full`. If that knows its members, all of them are surer of
    those, so a model that knows nothing looks unusually unsure of them and the AUC falls below 0.5. Whether it is off 0.5
    is decided with all other findings at the family's level (`family.judge_together`), not by the interval.
    """
    found = attack_control(evidence, check.signal, check.scorer, evidence.controls["null"][check.asked], confidence)
    return Control(
        name=SHARED_GENERATOR,
        surface=evidence.surface_of(check.signal),
        signal=check.signal,
        measure=check.scorer,
        passed=family_p_value > level,
        decides=False,
        expected=f"AUC 0.5: p-value, all findings counted, above {level:g}; found {family_p_value:.4f}",
        found=found,
    )


def positive(config: MembershipConfig, evidence: Evidence, signal: str, scorer: str) -> Control:
    """Attack a run that was made to memorize the target's members: the attack must see it.

    Below depth `full` only the Teacher can memorize, for the images are the target's; so it decides on that surface alone.
    Captions have no memorizer beside the target's own, which may well tell nothing: there it is shown. A memorizer is surer
    of every image than models that were held back from memorizing, so its signals are first put on their scale.
    """
    surface = evidence.surface_of(signal)
    signals = on_reference_scale(evidence.controls["positive"][signal], evidence.signals[signal][1:])
    found = attack_control(evidence, signal, scorer, signals, config.confidence)
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
    """Return the signals with their order kept and the distribution of all reference signals; no membership is used."""
    levels = (rankdata(signals_N) - 0.5) / len(signals_N)
    return np.quantile(references_RN, levels)


def planted(config: MembershipConfig, evidence: Evidence, signal: str) -> Control:
    """Plant a small membership effect of known size: the declared scorer must find half of what a perfect attack would.

    The planted members are drawn anew for every run, independently of the true ones, so what the models (or a shared
    generator) truly leak is mere noise here. Each record is moved by its own spread: moved by the average one, records that
    hardly vary would give a member away to any attack. Fails when reference runs or records are too few for the scorer.
    """
    signals = evidence.signals[signal]
    members = np.random.default_rng(0).permuted(evidence.members_of(signal), axis=1)
    between_runs = np.maximum(signals.std(axis=0, ddof=1), NO_SPREAD)
    planted_signals = signals + PLANTED_EFFECT * between_runs * members
    found = auc(SCORERS[config.scorer].score(planted_signals, members, 0), members[0], config.confidence)
    return Control(
        name="planted",
        surface=evidence.surface_of(signal),
        signal=signal,
        measure=config.scorer,
        passed=isinstance(found, Estimate) and found.low > PLANTED_BAR,
        decides=True,
        expected=f"lower end of the AUC interval above {PLANTED_BAR:.2f}; {PLANTED_IDEAL:.2f} is the best possible",
        found=found,
    )


@dataclass(frozen=True)
class Compared:
    """What parity compares: per run, the differences over records that the run knows nothing of."""

    signal: str
    measure: str
    runs: list[np.ndarray]


def parity(config: MembershipConfig, evidence: Evidence) -> list[Control]:
    """Check that the target differs from the reference runs on its non-members as they do from one another on theirs."""
    compared = [
        each for signal in evidence.signals if evidence.has_references(signal) for each in _compare(config, evidence, signal)
    ]
    confidence = 1 - PARITY_ERROR / max(1, len(compared))
    return [_parity_of(evidence.surface_of(each.signal), each, confidence, config.confidence) for each in compared]


def _compare(config: MembershipConfig, evidence: Evidence, signal: str) -> list[Compared]:
    """Return what is compared of one signal.

    A generator shared by all Students may know the target's members, so what learned from its images is compared on
    records that are neither the run's nor the target's members.
    """
    surface, members = evidence.surface_of(signal), evidence.members_of(signal)
    through_images = config.shares_generator and sees_images(surface)
    unseen = ~members[0] if through_images else np.ones_like(members[0])
    values = {"mean": evidence.signals[signal]}
    if signal in evidence.correct:
        values["accuracy"] = evidence.correct[signal].astype(np.float64)
    return [Compared(signal, measure, beside_references(each, members, unseen)) for measure, each in values.items()]


def beside_references(values_RN: np.ndarray, members_RN: np.ndarray, unseen_N: np.ndarray) -> list[np.ndarray]:
    """Return for every run its values less the mean of the (other) reference runs that left the same record out.

    Of records that the run left out, that `unseen_N` allows, and that such a reference run left out too. Compared record by
    record, so that runs need not have left out equally hard records.
    """
    others = [tally(values_RN, members_RN, 0)[1]]
    others += [sums.sides()[1] for _, sums in without_each(TallySums, values_RN[1:], members_RN[1:])]
    compared = [~row & unseen_N & (other.count > 0) for row, other in zip(members_RN, others, strict=True)]
    return [(values - other.mean)[rows] for values, other, rows in zip(values_RN, others, compared, strict=True)]


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
    """Return where one more run of the same kind falls with probability `confidence` (Student's t).

    `runs` holds (mean, sampling variance of that mean) of each reference run. The variance between runs is taken to be no
    smaller than the sampling variance: runs that agree to the last record by luck must not condemn the next.
    """
    means = np.array([mean for mean, _ in runs])
    variance = max(float(means.var(ddof=1)), float(np.mean([sampling for _, sampling in runs])))
    quantile = student_t.ppf((1 + confidence) / 2, len(means) - 1)
    half = float(quantile * (variance * (1 + 1 / len(means))) ** 0.5)
    return float(means.mean()) - half, float(means.mean()) + half


def _smoothed(differences: np.ndarray) -> tuple[float, float]:
    """Return mean and sampling variance, which is above zero also where all runs agree on every record."""
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
