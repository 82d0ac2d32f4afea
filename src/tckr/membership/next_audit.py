"""Find the settings of an audit that would measure what the last one left unmeasured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tckr.artifacts.audit import AuditResult
from tckr.membership.config import MIN_REFERENCE_RUNS
from tckr.surfaces import SURFACES

DEPTHS = ("teacher", "distill", "full")
HOLDOUT, REFERENCE_RUNS = 0.5, 8
"""Default values of these settings."""

Changes = dict[str, str | int | float]


def answering_settings(audit: AuditResult, surfaces: Iterable[str]) -> Changes:
    """Return the settings with which an audit would measure `surfaces`; empty if only other attacks could."""
    changes: Changes = {}
    if not audit.measured and audit.declared.num_non_members == 0:
        changes["prepare.audit_holdout"] = HOLDOUT
    if not audit.measured and audit.declared.num_reference_runs < MIN_REFERENCE_RUNS:
        changes["audit.num_reference_runs"] = REFERENCE_RUNS
    return changes | _deeper(audit, surfaces)


def repeats_run(changes: Mapping[str, object]) -> bool:
    """Return whether the run itself would be computed again, with other members, not only its reference runs."""
    return "prepare.audit_holdout" in changes


def as_arguments(changes: Mapping[str, object]) -> str:
    """Return settings as command-line arguments, e.g. `audit.depth=full`."""
    return " ".join(f"{name}={value}" for name, value in changes.items())


def _deeper(audit: AuditResult, surfaces: Iterable[str]) -> Changes:
    """Return the depth at which reference runs repeat these surfaces, if they did not."""
    needed = max((DEPTHS.index(SURFACES[name].repeated_from) for name in surfaces if name in SURFACES), default=0)
    found = DEPTHS.index(audit.declared.depth) if audit.declared.depth in DEPTHS else len(DEPTHS)
    return {"audit.depth": DEPTHS[needed]} if needed > found else {}
