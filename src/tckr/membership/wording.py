"""Sentences on the results of an audit; only this module turns fields of `tckr.artifacts.audit` into text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tckr.artifacts.audit import (
    AuditResult,
    Declared,
    FindingReason,
    Package,
    SurfaceResult,
    Verdict,
    VerdictReason,
)
from tckr.html.numbers import p_text
from tckr.membership.config import MIN_REFERENCE_RUNS
from tckr.membership.coverage import scorer_name
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.rounding import bound_below, rounded
from tckr.surfaces import signal_title, surface_title


def judged_units(declared: Declared) -> str:
    """Return the number of member and non-member units, and the number of records of groups."""
    if declared.unit == "record":
        return f"{declared.num_members:,} members, {declared.num_non_members:,} non-members"
    return (
        f"unit: group; {declared.num_members:,} member and {declared.num_non_members:,} non-member groups with "
        f"{declared.num_records or 0:,} records"
    )


def verdict_text(verdict: Verdict) -> str:
    """Return the verdict on one line: what was judged, then what it leaves open."""
    return "; ".join([judged_text(verdict), *open_texts(verdict)])


def judged_text(verdict: Verdict) -> str:
    """Return `audit valid`, `audit invalid: null (Teacher)` or `not measured: ...`."""
    if verdict.state == "not measured":
        return f"not measured: {why_not_measured(verdict)}"
    failed = [reason for reason in verdict.reasons if reason.kind == "control_failed"]
    return f"audit {verdict.state}" + (f": {_controls(failed)}" if failed else "")


def why_not_measured(verdict: Verdict) -> str:
    """Return why membership was not measured; empty if it was."""
    return "; ".join(
        _not_measured(reason) for reason in verdict.reasons if reason.kind in ("no_non_members", "too_few_runs")
    )


def open_texts(verdict: Verdict) -> list[str]:
    """Return what the verdict leaves open, one text for each kind."""
    every = [(kind, list(reasons)) for kind, reasons in groupby(verdict.reasons, lambda reason: reason.kind)]
    return [text for kind, reasons in every if (text := _open(kind, reasons))]


def surface_text(surface: SurfaceResult) -> str:
    """Return the findings behind the state of a surface, with their numbers."""
    return "; ".join(finding_text(reason) for reason in surface.reasons)


def package_text(audit: AuditResult, package: Package) -> str:
    """Return the reason of a package's state: the attack on all of it, and the deciding surfaces with their findings."""
    together = [f"all of it together: {finding_text(reason)}" for reason in package.reasons]
    alone = (f"{surface_title(name)}: {_deciding(audit.surfaces.get(name))}" for name in package.deciding)
    return "; ".join([*together, *alone])


def together_text(package: Package) -> str:
    """Return the result of the attack on all surfaces of a package, significant or not; empty without one."""
    found = package.together
    if found is None:
        return ""
    shares = ", ".join(f"{surface_title(name)} {share:.0%}" for name, share in found.surfaces.items())
    return f"{package.name}, attacked together ({shares}): AUC {supported(found.auc)} ({_p(found.test.family_p_value)})"


def together_lines(audit: AuditResult) -> list[str]:
    """Return the same for every package; empty if the audit is not valid."""
    return [text for package in audit.packages if audit.valid and (text := together_text(package))]


def finding_text(reason: FindingReason) -> str:
    """Return one finding with its numbers, e.g. `AUC 0.612 [0.581, 0.644] (p < 0.001)`."""
    number = supported(reason.found)
    match reason.kind:
        case "no_attack":
            return "no attack"
        case "no_references":
            return f"attacked without references only, AUC {number}{_power(reason)}"
        case "nothing_found":
            return f"AUC {number}, smallest {_p(reason.p_value)}{_power(reason)}"
        case "images_tell":
            return "a model trained only on the images reveals their members (check: shared generator)"
        case "near_copies":
            return f"excess of near-copies {number} ({_p(reason.p_value)}, needed {reason.level:g})"
    return f"{_leak(reason, number)} ({_p(reason.p_value)})"


def _power(reason: FindingReason) -> str:
    power = reason.detectable_auc
    return f"; an AUC of {power:.2f} would be detected in 80 of 100 audits" if power else ""


def _leak(reason: FindingReason, number: str) -> str:
    epsilon = f"epsilon at least {bound_below(reason.epsilon):g}" if reason.epsilon else ""
    match reason.kind:
        case "auc_above":
            by = [scorer_name(reason.attack)] if reason.attack else []
            how = ", ".join([*by, *([signal_title(reason.signal)] if reason.signal else [])])
            return f"AUC {number}" + (f" by {how}" if how else "")
        case "auc_below":
            return f"AUC {number} is below 0.5: members have lower values; is the sign of the signal wrong?"
        case "records_above":
            return f"AUC of single records {number}"
        case "records_below":
            return f"AUC of single records {number} is below 0.5: members have lower values"
        case "auc_of_package":
            return f"AUC {number}"
        case "auc_of_runs":
            return f"mean AUC of all runs {number}"
        case "tail":
            return epsilon or "the records with the highest scores are members"
    assert reason.kind == "canaries", reason
    return f"{epsilon} by canaries" if epsilon else f"{reason.canaries} canaries were guessed better than by chance"


def supported(number: Measured | None) -> str:
    """Return a number with the digits that its interval supports, at most three decimals."""
    if not isinstance(number, Estimate):
        return "not measurable"
    number = rounded(number)
    return f"{number.value:.3f} [{number.low:.3f}, {number.high:.3f}]"


def _p(p_value: float | None) -> str:
    assert p_value is not None
    return f"p {p_text(p_value, digits=1)}"  # one digit, as in a shareable report


def _deciding(surface: SurfaceResult | None) -> str:
    return "not measured" if surface is None else surface_text(surface) or "audit invalid"


def _not_measured(reason: VerdictReason) -> str:
    if reason.kind == "no_non_members":
        return "the target was trained on the complete pool; set prepare.audit_holdout above 0 to hold records out"
    return f"{reason.num_reference_runs} reference runs; at least {MIN_REFERENCE_RUNS} are needed (audit.num_reference_runs)"


def _open(kind: str, reasons: Sequence[VerdictReason]) -> str:
    names = ", ".join(surface_title(name) for reason in reasons for name in reason.surfaces)
    texts = {
        "memorizer_missed": f"not conclusive for {names}: this attack would miss even a Teacher that memorized",
        "no_references": f"attacked only without references, where finding nothing counts as not measured: {names}",
        "control_not_given": f"control runs missing: {_controls(reasons, ' control')}",
        "control_not_measurable": f"not measurable with so few reference runs: {_controls(reasons)}",
        "never_varied": f"left out, because their membership never varies: {reasons[0].num_records or 0:,} records",
        "dependent_runs": "members were not sampled independently for every run, so only the target is judged",
    }
    return texts.get(kind, "")


def _controls(reasons: Sequence[VerdictReason], word: str = "") -> str:
    """Return `null (Teacher, Student), parity (Student)`."""
    named = [(reason.control + word, ", ".join(map(surface_title, reason.surfaces))) for reason in reasons]
    return ", ".join(f"{control} ({surfaces})" if surfaces else control for control, surfaces in named)
