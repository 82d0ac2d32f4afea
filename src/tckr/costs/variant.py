"""What a variant of a sweep took: stage by stage as if it had been alone, and what it added to the sweep."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tckr.artifacts.synthetic import seconds_alone
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.pipeline import STAGES


def seconds_row(steps: Sequence[Step], store: Store, known: Collection[str]) -> dict[str, float]:
    """Return the seconds of a whole variant.

    `seconds_STAGE` are those of the target run; all that is made for the audit alone (reference runs, controls, asking and
    judging) is `seconds_audit`. What variants share counts in full for each, and copied images count as if drawn;
    `seconds_added` counts the steps that are not `known` from earlier variants, as measured.

    Args:
        steps: of the variant.
        store: where its artifacts are.
        known: fingerprints of steps that earlier variants have.
    """
    row = {f"seconds_{stage}": 0.0 for stage in STAGES}
    for step in steps:
        stage = "audit" if step.role is not Role.TARGET or step.stage not in STAGES else step.stage
        row[f"seconds_{stage}"] += _alone(step, store)
    total = sum(row.values())
    added = sum(store.manifest(step)["seconds"] for step in steps if step.fingerprint not in known)
    return {name: round(value, 2) for name, value in {**row, "seconds": total, "seconds_added": added}.items()}


def _alone(step: Step, store: Store) -> float:
    if step.stage == "generate":
        return seconds_alone(store.folder(step))
    return float(store.manifest(step)["seconds"])
