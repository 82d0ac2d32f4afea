"""Findings about one surface: accuracy on the test split, and membership by every scorer and analysis."""

from __future__ import annotations

from typing import Any

import numpy as np

from tckr.metrics.accuracy import accuracy, accuracy_by_class, confusion
from tckr.metrics.calibration import expected_calibration_error
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import auc_by_class, balanced_accuracy, epsilon_lower_bound
from tckr.metrics.results import Strongest, SurfaceResult
from tckr.metrics.tradeoff import accuracy_over_privacy
from tckr.stages.audit.analyses import ANALYSES
from tckr.stages.audit.config import AuditConfig
from tckr.stages.audit.evidence import Evidence
from tckr.stages.audit.scorers import SCORERS, Scorer
from tckr.stages.audit.thresholds import fix_thresholds


def surface_result(config: AuditConfig, evidence: Evidence, surface: str) -> SurfaceResult:
    """Return everything reported about `surface`; membership only where there are signals."""
    found = accuracy_findings(config, evidence, surface)
    if surface in evidence.pool:
        found |= membership_findings(config, evidence, surface)
        found |= declared_findings(config, evidence, surface)
        found["aop"] = accuracy_over_privacy(
            found["cas"], found["auc"].get(config.scorer, _missing(evidence)), config.aop_lambda
        )
        found["strongest"] = strongest(found["cas"], found["auc"], config.aop_lambda)
    return SurfaceResult(**found)


def accuracy_findings(config: AuditConfig, evidence: Evidence, surface: str) -> dict[str, Any]:
    """Return CAS, its parts and its calibration on the locked test split."""
    answers, labels, names = evidence.test[surface], evidence.test_labels, evidence.class_names
    correct = answers.classes == labels
    return {
        "cas": accuracy(correct, config.confidence),
        "per_class": accuracy_by_class(labels, answers.classes, names, config.confidence),
        "confusion": confusion(labels, answers.classes, len(names)).tolist(),
        "ece": expected_calibration_error(answers.confidences, correct, config.confidence),
    }


def membership_findings(config: AuditConfig, evidence: Evidence, surface: str) -> dict[str, Any]:
    """Return `{field: {scorer: finding}}` of every analysis with every scorer that this surface allows."""
    signals, members = evidence.pool[surface].signals, evidence.members_of(surface)
    found: dict[str, Any] = {"auc": {}}
    for name, scorer in usable_scorers(evidence, surface).items():
        for analyse in ANALYSES.values():
            for finding, value in analyse(scorer, signals, members, config.confidence).items():
                found.setdefault(finding, {})[name] = value
    return found


def usable_scorers(evidence: Evidence, surface: str) -> dict[str, Scorer]:
    """Return the scorers that do without reference runs, or all where there are some."""
    has_references = evidence.has_references(surface)
    return {name: scorer for name, scorer in SCORERS.items() if has_references or not scorer.needs_references}


def declared_findings(config: AuditConfig, evidence: Evidence, surface: str) -> dict[str, Any]:
    """Return what is reported for the declared scorer alone; thresholds come from the reference runs."""
    if not evidence.has_references(surface):
        return {"balanced_accuracy": _missing(evidence)}
    scorer, signals, members = SCORERS[config.scorer], evidence.pool[surface].signals, evidence.members_of(surface)
    scores, truth = scorer.score(signals, members, 0), members[0]
    thresholds = fix_thresholds(scorer, signals, members, config.confidence, config.delta)
    bound = epsilon_lower_bound(scores, truth, thresholds.epsilon, config.confidence, config.delta)
    return {
        "balanced_accuracy": balanced_accuracy(scores, truth, thresholds.balanced_accuracy, config.confidence),
        "epsilon_lower_bound": bound,
        "auc_by_class": auc_by_class(scores, truth, evidence.labels, evidence.class_names, config.confidence),
    }


def strongest(cas: Measured, by_scorer: dict[str, Measured], exponent: float) -> Strongest:
    """Return the scorer with the highest AUC, labelled as what it is: a choice made after seeing the truth."""
    name = max(by_scorer, key=lambda scorer: _value(by_scorer[scorer]))
    note = f"strongest of {len(by_scorer)}, chosen on the evaluation labels"
    return Strongest(scorer=name, auc=by_scorer[name], aop=accuracy_over_privacy(cas, by_scorer[name], exponent), note=note)


def _value(measured: Measured) -> float:
    return measured.value if isinstance(measured, Estimate) else -np.inf


def _missing(evidence: Evidence) -> NotMeasurable:
    return NotMeasurable(evidence.why_no_references)
