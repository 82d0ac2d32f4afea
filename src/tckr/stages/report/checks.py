"""The audit's controls by surface, failed ones first, with an explanation of each kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tckr.artifacts.audit import SHARED_GENERATOR, AuditResult, Control
from tckr.metrics.estimate import NotMeasurable
from tckr.surfaces import SURFACES, surface_title

PURPOSES = {
    "null": "Attacks a model that was trained on none of the records. If it finds members, the attack is wrong.",
    SHARED_GENERATOR: "Attacks a model trained on none of the records, but on the target's images or compared with Students "
    "trained on them. An AUC away from 0.5 means that the images reveal members and that the reference runs "
    "do not fit the Student: a finding, not a fault.",
    "positive": "Attacks a model that was made to memorize the members. If it does not find them, the attack is too weak.",
    "planted": "Gives artificial members a leak of known size. If the declared attack finds less than half "
    "of what a perfect attack would find when all records vary equally, or if the records are too few to show it "
    "in one run, the absence of findings means nothing.",
    "parity": "Compares the target with the reference runs on records that neither was trained on. If they "
    "differ, the reference runs do not describe the target.",
}
"""Control -> what it does, and what its failure means."""


@dataclass(frozen=True, kw_only=True)
class ControlGroup:
    """The controls of one surface: `failed` ones decide the verdict, `noted` ones are shown for information."""

    name: str
    controls: list[Control]
    failed: int
    noted: int

    @property
    def passed(self) -> int:
        """Return the number of controls that passed."""
        return len(self.controls) - self.failed - self.noted


def control_groups(audit: AuditResult) -> list[ControlGroup]:
    """Return the controls by surface; surfaces with failed controls come first, and failed controls within a surface."""
    order = [*SURFACES, *(control.surface for control in audit.controls)]
    groups = [
        _group(surface, [control for control in audit.controls if control.surface == surface])
        for surface in dict.fromkeys(order)
    ]
    return sorted((group for group in groups if group.controls), key=lambda group: (-group.failed, -group.noted))


def purposes(controls: Iterable[Control]) -> dict[str, str]:
    """Return the explanation of each kind of control that occurs, in a fixed order."""
    names = {control.name for control in controls}
    return {name: purpose for name, purpose in PURPOSES.items() if name in names}


def result_of(control: Control) -> str:
    """Return `passed` or `failed`; for controls that do not decide, `noted` or `not measured`."""
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
