"""Findings about one surface: accuracy on the test split, and membership by every signal, scorer and analysis."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from tckr.artifacts.audit import PLAIN, OfRecords, Strongest, SurfaceResult
from tckr.membership.analyses import Track, leave_one_out, low_fpr, target_run, untracked
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.scorers import NEVER, QUANTILES, SCORERS, Scorer, attack_one, quantile_regression
from tckr.membership.thresholds import Thresholds
from tckr.membership.vulnerability import at_risk, worst_class
from tckr.metrics.accuracy import accuracy, accuracy_by_class, accuracy_over_largest, confusion, mean_class_accuracy
from tckr.metrics.calibration import expected_calibration_error, mean_score
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.gaussian_dp import mu_from_rates
from tckr.metrics.membership import auc, auc_by_class, balanced_accuracy, epsilon_lower_bound
from tckr.metrics.tradeoff import accuracy_over_privacy


def surface_result(
    config: MembershipConfig,
    evidence: Evidence,
    surface: str,
    thresholds: Thresholds | None,
    family_p_values: Mapping[tuple[str, str], float],
    *,
    of_records: Evidence,
    track: Track = untracked,
) -> SurfaceResult:
    """Return everything reported about `surface`; membership findings only where there are signals.

    `evidence` is about sampled units, `of_records` about single records. `thresholds`: of the declared scorer, fixed on the
    reference runs; None without them. `family_p_values`: by signal and scorer, corrected for all of them. `track` shows the
    progress of attacks on many runs.
    """
    found = accuracy_findings(config, evidence, surface)
    if surface in evidence.measured_surfaces:
        declared, *others = evidence.signals_of(surface)
        found |= membership_findings(config, evidence, declared, track)
        found |= declared_findings(config, evidence, declared, thresholds)
        if thresholds is not None:
            found |= class_findings(config, of_records, declared)
        found["signal"] = declared
        found["attack"] = config.scorer if config.scorer in found["auc"] else PLAIN
        if of_records.groups is not None:
            found["of_records"] = record_findings(config, of_records, declared, found["attack"], track)
        found["other_signals"] = {signal: aucs(config, evidence, signal) for signal in others}
        declared_auc = found["auc"].get(config.scorer, NotMeasurable(evidence.why_alone(declared)))
        found["aop"] = accuracy_over_privacy(found["cas"], declared_auc, config.aop_lambda)
        every = {declared: found["auc"], **found["other_signals"]}
        found["strongest"] = strongest(found["cas"], every, config.aop_lambda, family_p_values)
    return SurfaceResult(**found)


def accuracy_findings(config: MembershipConfig, evidence: Evidence, surface: str) -> dict[str, Any]:
    """Return CAS on the locked test split and, for a model, its parts and its calibration."""
    model = surface if surface in evidence.test else "student"
    if model not in evidence.test:
        return {"cas": NotMeasurable("no answers on a test split were given")}
    answers, labels, names = evidence.test[model], evidence.test_labels, evidence.class_names
    correct = answers.classes == labels
    cas = accuracy(correct, config.confidence)
    if model != surface:
        return {"cas": cas}
    return {
        "cas": cas,
        "balanced_cas": mean_class_accuracy(labels, answers.classes, config.confidence),
        "over_largest": accuracy_over_largest(labels, answers.classes, config.confidence),
        "per_class": accuracy_by_class(labels, answers.classes, names, config.confidence),
        "confusion": confusion(labels, answers.classes, len(names)).tolist(),
        "ece": expected_calibration_error(answers.confidences, correct, config.confidence),
        "brier": mean_score(answers.brier_scores, config.confidence),
        "nll": mean_score(answers.log_losses, config.confidence),
    }


def membership_findings(config: MembershipConfig, evidence: Evidence, signal: str, track: Track) -> dict[str, Any]:
    """Return `{field: {scorer: finding}}` of every analysis with every scorer that this signal allows."""
    signals, members, strata = evidence.signals[signal], evidence.members_of(signal), evidence.compared_within
    found: dict[str, Any] = {"auc": {}, "leave_one_out": {}}
    for name, scores in target_scores(evidence, signal).items():
        for finding, value in target_run(scores, members[0], config.confidence, strata).items():
            found.setdefault(finding, {})[name] = value
    if len(signals) > 1 and evidence.independent_runs:
        scorers = {name: each for name, each in usable_scorers(evidence, signal).items() if not each.target_only}
        kept = evidence.aucs_over_runs.setdefault(signal, {})
        found["leave_one_out"] = leave_one_out(
            scorers, signals, members, config.confidence, strata, declared=config.scorer, track=track, kept=kept
        )
    return found


def aucs(config: MembershipConfig, evidence: Evidence, signal: str) -> dict[str, Measured]:
    """Return the target's AUC by scorer."""
    truth, strata = evidence.members[0], evidence.compared_within
    return {name: auc(scores, truth, config.confidence, strata) for name, scores in target_scores(evidence, signal).items()}


def usable_scorers(evidence: Evidence, signal: str) -> dict[str, Scorer]:
    """Return this signal's scorers: all with reference runs, else those that need none; quantile regression with features.

    If each record is in equally many runs, scorers that depend on the number of runs with the record are left out. If the
    runs' members were not sampled independently, scorers that always depend on it are left out.
    """
    has_references, num_runs = evidence.has_references(signal), runs_that_count(evidence)
    attack = evidence.quantile_attack
    every = SCORERS | ({QUANTILES: quantile_regression(attack)} if attack else {})
    return {
        name: scorer
        for name, scorer in every.items()
        if (has_references or not scorer.needs_references) and num_runs >= scorer.balanced_from
    }


def target_scores(evidence: Evidence, signal: str, null: str = "") -> Mapping[str, np.ndarray]:
    """Return the scores [N] of the target by every usable scorer, or of the null control of signal `null`; computed once."""
    if (signal, null) not in evidence.attacked:
        signals = evidence.signals[signal]
        if null:
            signals = np.vstack([evidence.controls["null"][null], signals[1:]])
        found = attack_one(usable_scorers(evidence, signal), signals, evidence.members_of(signal), 0)
        evidence.attacked[signal, null] = found
    return evidence.attacked[signal, null]


def runs_that_count(evidence: Evidence) -> int:
    """Return the value compared with `Scorer.balanced_from`: the number of runs if the design reveals membership."""
    if evidence.balanced_runs:
        return len(evidence.members)
    return NEVER if evidence.independent_runs else NEVER - 1


def declared_findings(
    config: MembershipConfig, evidence: Evidence, signal: str, thresholds: Thresholds | None
) -> dict[str, Any]:
    """Return the findings that are reported only for the declared scorer."""
    if thresholds is None:
        return {"balanced_accuracy": NotMeasurable(evidence.why_alone(signal))}
    scorer, signals, members = SCORERS[config.scorer], evidence.signals[signal], evidence.members_of(signal)
    scores, truth = target_scores(evidence, signal)[config.scorer], members[0]
    records = np.arange(len(truth)) if evidence.records is None else evidence.records
    bound = epsilon_lower_bound(scores, truth, thresholds.epsilon, config.confidence, config.delta)
    return {
        "low_fpr": low_fpr(scorer, signals, members, config.confidence) if evidence.independent_runs else {},
        "balanced_accuracy": balanced_accuracy(scores, truth, thresholds.balanced_accuracy, config.confidence),
        "epsilon_lower_bound": bound,
        "mu_lower_bound": mu_from_rates(scores, truth, thresholds.every, confidence=config.confidence, delta=config.delta),
        "at_risk": at_risk(signals, members, records) if evidence.independent_runs else None,
    }


def class_findings(config: MembershipConfig, of_records: Evidence, signal: str) -> dict[str, Any]:
    """Return the AUC of the declared scorer among the records of each class, and the class where it is highest."""
    scores, names = target_scores(of_records, signal)[config.scorer], of_records.class_names
    by_class = partial(auc_by_class, scores, of_records.members[0], of_records.labels, names, groups=of_records.groups)
    together = 1 - (1 - config.confidence) / max(1, len(names))
    return {"auc_by_class": by_class(config.confidence), "worst_class": worst_class(by_class(together))}


def record_findings(config: MembershipConfig, of_records: Evidence, signal: str, attack: str, track: Track) -> OfRecords:
    """Return what the attack finds on single records that have groups."""
    signals, members, strata = of_records.signals[signal], of_records.members_of(signal), of_records.compared_within
    found = auc(target_scores(of_records, signal)[attack], members[0], config.confidence, strata, of_records.groups)
    runs = None
    if len(signals) > 1 and of_records.independent_runs:
        chosen = {attack: SCORERS[attack]}
        runs = leave_one_out(chosen, signals, members, config.confidence, strata, declared=attack, track=track)[attack]
    return OfRecords(auc=found, leave_one_out=runs)


def strongest(
    cas: Measured,
    by_signal: dict[str, dict[str, Measured]],
    exponent: float,
    family_p_values: Mapping[tuple[str, str], float],
) -> Strongest:
    """Return the signal and scorer with the highest AUC, labelled as a choice that was made with knowledge of the truth."""
    every = {(signal, scorer): auc for signal, aucs in by_signal.items() for scorer, auc in aucs.items()}
    signal, scorer = max(every, key=lambda pair: _value(every[pair]))
    found = every[signal, scorer]
    return Strongest(
        signal=signal,
        scorer=scorer,
        auc=found,
        aop=accuracy_over_privacy(cas, found, exponent),
        note=f"strongest of {len(every)}, chosen on the evaluation labels",
        family_p_value=family_p_values.get((signal, scorer)),
    )


def _value(measured: Measured) -> float:
    return measured.value if isinstance(measured, Estimate) else -np.inf
