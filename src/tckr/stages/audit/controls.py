"""Checks of the audit itself: without them there is no verdict."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata
from scipy.stats import t as student_t

from tckr.metrics.accuracy import accuracy
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import auc
from tckr.metrics.proportions import critical_value
from tckr.metrics.results import Control
from tckr.stages.audit.config import AuditConfig
from tckr.stages.audit.evidence import Evidence
from tckr.stages.audit.scorers import SCORERS

FAMILY_ERROR = 0.05
"""Chance that a sound audit fails one of its null checks, all scorers and surfaces together (Bonferroni)."""

PARITY_CONFIDENCE = 0.99
"""Level of one parity check; there are up to four."""

POSITIVE_SCORER = "lira_offline_fixed_variance"
"""The attack on the memorizing model. It asks only how unusual a signal is for models that did not see the record. An
online attack learns from well-behaved reference runs that there is nothing to look for, and rightly misses a model unlike
them."""

POSITIVE_BAR = 0.5
"""The lower end of the AUC interval of the trained memorizer must be above it. Not higher: a network that memorizes easy
images is nearly as sure of those it never saw, so how far above depends on the data and not on the audit."""

SHARED_GENERATOR = "shared generator"

MIN_RUNS_FOR_PARITY = 4
"""With fewer, the prediction interval of one more run is so wide that it would pass anything."""

PLANTED_EFFECT = 1.0
"""How far planted members are moved, in standard deviations of one record's signal between runs."""

PLANTED_IDEAL = float(norm.cdf(PLANTED_EFFECT / 2**0.5))
"""AUC of an attack that knows each record's mean and variance: P(member above non-member), 0.760."""

PLANTED_BAR = 0.5 + 0.5 * (PLANTED_IDEAL - 0.5)
"""The lower end of the AUC interval must be above half of the way from guessing to the ideal, 0.630."""


def controls(config: AuditConfig, evidence: Evidence) -> list[Control]:
    """Return all checks of every surface that has reference runs."""
    surfaces = [surface for surface in evidence.pool if evidence.has_references(surface)]
    level = null_confidence(len(surfaces))
    found = []
    for surface in surfaces:
        found += [null(evidence, surface, scorer, level) for scorer in SCORERS if _asks_references(scorer, surface)]
        found += [positive(config, evidence, surface, scorer) for scorer in dict.fromkeys((POSITIVE_SCORER, config.scorer))]
        found += [planted(config, evidence, surface), *parity(config, evidence, surface)]
    return found


def _asks_references(scorer: str, surface: str) -> bool:
    """Return whether the null check differs from the Teacher's: without references it is the same attack."""
    return surface == "teacher" or SCORERS[scorer].needs_references


def null_confidence(num_surfaces: int) -> float:
    """Return the level of one null check such that all of them pass a sound audit with probability 0.95."""
    return 1 - FAMILY_ERROR / (len(SCORERS) * max(1, num_surfaces))


def attack_control(evidence: Evidence, surface: str, scorer: str, signals_N: np.ndarray, confidence: float) -> Measured:
    """Return the AUC of the attack on a control model with the very reference runs that the target is attacked with."""
    signals = np.vstack([signals_N, evidence.pool[surface].signals[1:]])
    scores = SCORERS[scorer].score(signals, evidence.members, 0)
    return auc(scores, evidence.members[0], confidence)


def null(evidence: Evidence, surface: str, scorer: str, confidence: float) -> Control:
    """Attack a model that saw none of the records: the truth is 0.5, whatever the scorer.

    Reference Students share the target's generator. If that knows its members, all of them are surer of those, so a model
    that knows nothing looks unusually unsure of them and the AUC falls below 0.5. On the Student surface this is therefore
    a finding about the generator and not a fault of the audit.
    """
    found = attack_control(evidence, surface, scorer, evidence.controls["null"].signals, confidence)
    return Control(
        name="null" if surface == "teacher" else SHARED_GENERATOR,
        surface=surface,
        measure=scorer,
        passed=isinstance(found, Estimate) and found.covers(0.5),
        decides=surface == "teacher",
        expected=f"AUC interval covers 0.5 at {confidence:.1%} (all null checks together: {1 - FAMILY_ERROR:.0%})",
        found=found,
    )


def positive(config: AuditConfig, evidence: Evidence, surface: str, scorer: str) -> Control:
    """Attack a model that was trained to memorize the target's members: the attack must see it.

    The memorizer is trained as Teachers are, on real images, so it decides on the Teacher surface only. It is surer of every
    image than models that were held back from memorizing, so its signals are first put on their scale.
    """
    signals = on_reference_scale(evidence.controls["positive"].signals, evidence.pool[surface].signals[1:])
    found = attack_control(evidence, surface, scorer, signals, config.confidence)
    return Control(
        name="positive",
        surface=surface,
        measure=scorer,
        passed=isinstance(found, Estimate) and found.low > POSITIVE_BAR,
        decides=surface == "teacher" and scorer == POSITIVE_SCORER,
        expected=f"lower end of the AUC interval above {POSITIVE_BAR}",
        found=found,
    )


def on_reference_scale(signals_N: np.ndarray, references_RN: np.ndarray) -> np.ndarray:
    """Return the signals with their order kept and the distribution of all reference signals; no membership is used."""
    levels = (rankdata(signals_N) - 0.5) / len(signals_N)
    return np.quantile(references_RN, levels)


def planted(config: AuditConfig, evidence: Evidence, surface: str) -> Control:
    """Plant a small membership effect of known size: the declared scorer must find half of what a perfect attack would.

    The planted members are drawn anew for every run, independently of the true ones, so what the models (or a shared
    generator) truly leak is mere noise here. Fails when reference runs or records are too few for the declared scorer.
    """
    signals = evidence.pool[surface].signals
    members = np.random.default_rng(0).permuted(evidence.members, axis=1)
    between_runs = max(float(signals.var(axis=0, ddof=1).mean()) ** 0.5, 1e-3)
    planted_signals = signals + PLANTED_EFFECT * between_runs * members
    found = auc(SCORERS[config.scorer].score(planted_signals, members, 0), members[0], config.confidence)
    return Control(
        name="planted",
        surface=surface,
        measure=config.scorer,
        passed=isinstance(found, Estimate) and found.low > PLANTED_BAR,
        decides=True,
        expected=f"lower end of the AUC interval above {PLANTED_BAR:.2f}; a perfect attack reaches {PLANTED_IDEAL:.2f}",
        found=found,
    )


def parity(config: AuditConfig, evidence: Evidence, surface: str) -> list[Control]:
    """Check that the target behaves on its non-members as the reference runs do on theirs.

    A generator shared by all Students may know the target's members, so reference Students are compared on records that
    are neither theirs nor the target's.
    """
    if len(evidence.members) - 1 < MIN_RUNS_FOR_PARITY:
        return [_too_few_runs(surface, measure, len(evidence.members) - 1) for measure in ("accuracy", "confidence")]
    answers = evidence.pool[surface]
    unseen = ~evidence.members[0] if surface == "student" else np.ones_like(evidence.members[0])
    outside = [~row & unseen for row in evidence.members]
    target_accuracy = accuracy(answers.correct[0][outside[0]], config.confidence)
    target_confidence = _mean(answers.signals[0][outside[0]], config.confidence)
    accuracies = [answers.correct[run][outside[run]] for run in range(1, len(outside))]
    confidences = [answers.signals[run][outside[run]] for run in range(1, len(outside))]
    return [
        _within(surface, "accuracy", target_accuracy, *prediction_interval([_smoothed(run) for run in accuracies])),
        _within(surface, "confidence", target_confidence, *prediction_interval([_moments(run) for run in confidences])),
    ]


def prediction_interval(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """Return where one more run of the same kind falls with probability 0.99 (Student's t).

    `runs` holds (mean, sampling variance of that mean) of each reference run. The variance between runs is taken to be no
    smaller than the sampling variance: runs that agree to the last record by luck must not condemn the next.
    """
    means = np.array([mean for mean, _ in runs])
    variance = max(float(means.var(ddof=1)), float(np.mean([sampling for _, sampling in runs])))
    quantile = student_t.ppf((1 + PARITY_CONFIDENCE) / 2, len(means) - 1)
    half = float(quantile * (variance * (1 + 1 / len(means))) ** 0.5)
    return float(means.mean()) - half, float(means.mean()) + half


def _smoothed(correct: np.ndarray) -> tuple[float, float]:
    rate = (correct.sum() + 1) / (len(correct) + 2)
    return float(correct.mean()), float(rate * (1 - rate) / len(correct))


def _moments(signals: np.ndarray) -> tuple[float, float]:
    return float(signals.mean()), float(signals.var() / len(signals))


def _mean(values: np.ndarray, confidence: float) -> Estimate:
    mean, variance = _moments(values)
    half = critical_value(confidence) * variance**0.5
    return Estimate(mean, mean - half, mean + half, len(values), "normal interval over records")


def _too_few_runs(surface: str, measure: str, runs: int) -> Control:
    return Control(
        name="parity",
        surface=surface,
        measure=measure,
        passed=False,
        decides=False,
        expected=f"within the prediction interval of at least {MIN_RUNS_FOR_PARITY} reference runs",
        found=NotMeasurable(f"fewer than {MIN_RUNS_FOR_PARITY} reference runs", runs),
    )


def _within(surface: str, measure: str, found: Measured, low: float, high: float) -> Control:
    return Control(
        name="parity",
        surface=surface,
        measure=measure,
        passed=isinstance(found, Estimate) and low <= found.value <= high,
        decides=True,
        expected=f"{low:.3f} to {high:.3f} ({PARITY_CONFIDENCE:.0%} prediction interval of the reference runs)",
        found=found,
    )
