"""Decide whether the audit allows a release: the obstacles, and the settings that would measure what is unmeasured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tckr.artifacts.audit import AuditResult, Package
from tckr.membership.next_audit import Changes, answering_settings
from tckr.membership.refutation import refutation_text
from tckr.membership.wording import judged_text, package_text, surface_text, why_not_measured
from tckr.releasing.request import EXPOSES, Request
from tckr.surfaces import surface_title

CLEAN = "no measurable leakage"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Decision of the gate.

    Attributes:
        obstacles: reasons against its release, one sentence each; empty = it may leave.
        changes: settings with which an audit would answer what is open; empty where no audit would.
        invalid: whether the audit failed its own controls, or refuted the formal guarantee.
    """

    obstacles: list[str]
    changes: Changes
    invalid: bool = False


def judge_release(audit: AuditResult, request: Request) -> Judgement:
    """Return whether every surface that the release exposes, alone and together, has no measurable leakage.

    What carries a formal guarantee that canaries refuted does not leave either.
    """
    if audit.guarantee and audit.refuted:
        return Judgement(obstacles=[refutation_text(audit.guarantee).removesuffix(".")], changes={}, invalid=True)
    if audit.verdict.state == "invalid":
        return Judgement(
            obstacles=[f"its {judged_text(audit.verdict)}, so its numbers are not valid"], changes={}, invalid=True
        )
    if not audit.measured:
        why = f"membership was not measured: {why_not_measured(audit.verdict)}"
        return Judgement(obstacles=[why], changes=answering_settings(audit, request.exposes))
    states = {name: found.state if (found := audit.surfaces.get(name)) else "not measured" for name in request.exposes}
    single = [_sentence(audit, name, state) for name, state in states.items() if state != CLEAN]
    joint = [
        f"{package.name}, together: {package.state} ({package_text(audit, package)})"
        for package in _packages_within(audit, request.exposes)
        if package.state != CLEAN and all(states[name] == CLEAN for name in package.exposes)
    ]
    unmeasured = [name for name, state in states.items() if state == "not measured"]
    return Judgement(obstacles=[*single, *joint], changes=answering_settings(audit, unmeasured))


def clean_parts(audit: AuditResult, request: Request) -> list[str]:
    """Return the requested parts that expose nothing which leaks or was not measured."""
    if not audit.valid or audit.refuted:
        return []
    clean = {name for name, surface in audit.surfaces.items() if surface.state == CLEAN}
    parts = [part for part in request.what if part != "report" and set(EXPOSES[part]) <= clean]
    return [part for part in parts if part != "labels" or "images" in parts]


def _packages_within(audit: AuditResult, exposed: Sequence[str]) -> list[Package]:
    return [package for package in audit.packages if set(package.exposes) <= set(exposed)]


def _sentence(audit: AuditResult, name: str, state: str) -> str:
    surface = audit.surfaces.get(name)
    why = surface_text(surface) if surface else "no attack at this depth"
    return f"{surface_title(name)}: {state} ({why})"
