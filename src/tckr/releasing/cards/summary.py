"""`audit_summary.json`: the formal guarantee, and results of the audit for the released surfaces, rounded."""

from __future__ import annotations

from typing import Any

from tckr.artifacts.audit import AuditResult
from tckr.artifacts.guarantee import Guarantee
from tckr.membership.coverage import coverage_of, covers_of
from tckr.membership.refutation import accounting_text, promise_text, refutation_text
from tckr.membership.wording import verdict_text
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.rounding import rounded
from tckr.releasing.facts import Facts
from tckr.surfaces import surface_title

NOT_GUARANTEED = (
    "Numbers of this card and of the report that were measured on private images, such as accuracy and results of the "
    "audit. They have no noise. The width of an interval tells roughly how many images it is about, and the report states "
    "numbers of private images.",
    "The names of the classes, the size of the images, and whether they are grey. They were declared public.",
    "Other releases made from the same private images. Their epsilons add up.",
    "What a private image shares with many others. The guarantee protects what one {unit} adds.",
)
"""What a formal guarantee does not cover."""


def audit_summary(facts: Facts) -> dict[str, Any]:
    """Return states, AUC with intervals and the limits of the audit; without an audit, the statement that there is none.

    Under a guarantee, no number of private images is stated: its budget pays for one with noise.
    """
    audit, accepted, counted = facts.audit, facts.request.accepted, facts.guarantee is None
    return {
        "released": list(facts.request.what),
        "guarantee": None if facts.guarantee is None else _guarantee(facts.guarantee, audit),
        "audit": None if audit is None else _audit(audit, facts.request.exposes, counted=counted),
        "student_accuracy": measured(facts.accuracy, counted=counted) if "student" in facts.request.what else None,
        "accepted_risk": {"reason": accepted.reason, "by": accepted.by, "found": facts.obstacles}
        if accepted and facts.obstacles
        else None,
    }


def _guarantee(claimed: Guarantee, audit: AuditResult | None) -> dict[str, Any]:
    """Return what is promised, every input of the accountant, what canaries refute, and what is not covered."""
    promised = [] if audit and audit.refuted else [promise_text(claimed)]
    tried = [refutation_text(audit.guarantee)] if audit and audit.guarantee else []
    return {
        **claimed.model_dump(exclude={"class_names"}),
        "texts": [*promised, *tried, accounting_text(claimed)],
        "not_covered": [text.format(unit=claimed.unit) for text in NOT_GUARANTEED],
    }


def _audit(audit: AuditResult, exposed: list[str], *, counted: bool) -> dict[str, Any]:
    declared = audit.declared
    return {
        "verdict": verdict_text(audit.verdict),
        "depth": declared.depth,
        "reference_runs": declared.num_reference_runs,
        "unit": declared.unit,
        "members": declared.num_members if counted else None,
        "non_members": declared.num_non_members if counted else None,
        "confidence": declared.confidence,
        "surfaces": {name: _surface(audit, name, counted=counted) for name in exposed},
        "covered": coverage_of(audit),
    }


def _surface(audit: AuditResult, name: str, *, counted: bool) -> dict[str, Any]:
    found = audit.surfaces.get(name)
    return {
        "title": surface_title(name),
        "state": found.state if found else "not measured",
        "attack": found.attack if found else "",
        "auc": measured(found.headline, counted=counted) if found else None,
        "covers": covers_of(audit, name),
    }


def measured(number: Measured | None, *, counted: bool) -> dict[str, Any] | None:
    """Return a number with its interval, and what it was measured on if that is `counted`; None if it was not measured."""
    if not isinstance(number, Estimate):
        return None
    number = rounded(number)
    return {"value": number.value, "low": number.low, "high": number.high, "n": number.n if counted else None}
