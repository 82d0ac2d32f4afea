"""The audit's controls, surface by surface, what failed first. Holds no numbers of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tckr.artifacts.audit import SHARED_GENERATOR, AuditResult, Control
from tckr.metrics.estimate import NotMeasurable
from tckr.surfaces import SURFACES, surface_title

PURPOSES = {
    "null": "A model that saw none of the records is attacked. If members are found in it, the attack invents them.",
    SHARED_GENERATOR: "What saw no record itself, but learned from the target's images or stands beside Students that did, "
    "is attacked. Away from 0.5 the images tell their members, and no reference run fits the Student: a finding, no fault.",
    "positive": "A model made to learn the members by heart is attacked. If they are not found, the attack is blind.",
    "planted": "Made-up members get a leak of known size. If the declared attack finds less than half of what a perfect one "
    "would where all records vary alike, its silence means nothing.",
    "parity": "The target is compared with the reference runs on records it never saw. If it is unlike them, they say "
    "nothing about it.",
}
"""Control -> what is done, and what it would mean to fail."""


@dataclass(frozen=True, kw_only=True)
class ControlGroup:
    """The controls of one surface; `failed` decide, `noted` are shown for information."""

    name: str
    controls: list[Control]
    failed: int
    noted: int

    @property
    def passed(self) -> int:
        """Return how many hold."""
        return len(self.controls) - self.failed - self.noted


def control_groups(audit: AuditResult) -> list[ControlGroup]:
    """Return the controls by surface: first the surfaces, and in each the controls, that failed."""
    order = [*SURFACES, *(control.surface for control in audit.controls)]
    groups = [
        _group(surface, [control for control in audit.controls if control.surface == surface])
        for surface in dict.fromkeys(order)
    ]
    return sorted((group for group in groups if group.controls), key=lambda group: (-group.failed, -group.noted))


def purposes(controls: Iterable[Control]) -> dict[str, str]:
    """Return what each kind of control that occurs is for, in a fixed order."""
    names = {control.name for control in controls}
    return {name: purpose for name, purpose in PURPOSES.items() if name in names}


def result_of(control: Control) -> str:
    """Return `passed`, `failed`, or for what decides nothing `noted` and `not measured`."""
    if control.passed:
        return "passed"
    if control.decides:
        return "failed"
    return "not measured" if isinstance(control.found, NotMeasurable) else "noted"


def _group(surface: str, controls: list[Control]) -> ControlGroup:
    return ControlGroup(
        name=surface_title(surface),
        controls=sorted(controls, key=lambda control: (control.passed, not control.decides)),
        failed=sum(control.decides and not control.passed for control in controls),
        noted=sum(not control.decides and not control.passed for control in controls),
    )
