"""Time of each variant of a sweep: by stage as if it had run alone, and the time that it added to the sweep."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tckr.artifacts.synthetic import seconds_alone
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.pipeline import STAGES


def seconds_row(steps: Sequence[Step], store: Store, known: Collection[str]) -> dict[str, float]:
    """Return the seconds of a complete variant.

    `seconds_STAGE` are times of the target run; all work for the audit (reference runs, controls, queries, judging) is
    `seconds_audit`. Steps that variants share count fully for each, and copied images count as if generated.
    `seconds_added` counts only steps that are not `known` from earlier variants, as measured.

    Args:
        steps: all steps of the variant.
        store: contains its artifacts.
        known: fingerprints of the steps of earlier variants.
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
