"""`audit_summary.json`: what the audit says of the released surfaces, as aggregates with few digits."""

from __future__ import annotations

from typing import Any

from tckr.artifacts.audit import AuditResult
from tckr.membership.coverage import coverage_of, covers_of
from tckr.membership.wording import verdict_text
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.rounding import rounded
from tckr.releasing.facts import Facts
from tckr.surfaces import surface_title


def audit_summary(facts: Facts) -> dict[str, Any]:
    """Return states, AUC with intervals and what is not covered; without an audit, that there is none."""
    audit, accepted = facts.audit, facts.request.accepted
    return {
        "released": list(facts.request.what),
        "audit": None if audit is None else _audit(audit, facts.request.exposes),
        "student_accuracy": measured(facts.accuracy) if "student" in facts.request.what else None,
        "accepted_risk": {"reason": accepted.reason, "by": accepted.by, "found": facts.obstacles}
        if accepted and facts.obstacles
        else None,
    }


def _audit(audit: AuditResult, exposed: list[str]) -> dict[str, Any]:
    declared = audit.declared
    return {
        "verdict": verdict_text(audit.verdict),
        "depth": declared.depth,
        "reference_runs": declared.num_reference_runs,
        "unit": declared.unit,
        "members": declared.num_members,
        "non_members": declared.num_non_members,
        "confidence": declared.confidence,
        "surfaces": {name: _surface(audit, name) for name in exposed},
        "covered": coverage_of(audit),
    }


def _surface(audit: AuditResult, name: str) -> dict[str, Any]:
    found = audit.surfaces.get(name)
    return {
        "title": surface_title(name),
        "state": found.state if found else "not measured",
        "attack": found.attack if found else "",
        "auc": measured(found.headline) if found else None,
        "covers": covers_of(audit, name),
    }


def measured(number: Measured | None) -> dict[str, Any] | None:
    """Return a number with its interval; None where there is none."""
    if not isinstance(number, Estimate):
        return None
    number = rounded(number)
    return {"value": number.value, "low": number.low, "high": number.high, "n": number.n}
