"""A finished run: its artifacts, checked for damage, and its audit, checked to belong to the current settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tckr.artifacts.audit import AuditResult
from tckr.artifacts.guarantee import SPENT_AGAIN
from tckr.config import Settings, load_settings
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.errors import UserError, shown
from tckr.releasing.names import Part
from tckr.running import plan, spends_again

STAGE: dict[Part, str] = {
    "images": "generate",
    "labels": "label",
    "student": "distill",
    "adapter": "adapt",
    "report": "report",
}
"""Part of a release -> the stage that creates it."""

CHANGED = "settings, data or TCKR itself changed since it was made"


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run and its artifacts that are complete for its settings.

    Attributes:
        folder: the run's folder.
        settings: as stored in the folder.
        artifacts: stage of the target run -> folder of its artifact.
        why_no_audit: reason why there is no audit; empty if there is one.
    """

    folder: Path
    settings: Settings
    artifacts: dict[str, Path]
    why_no_audit: str

    @property
    def audit(self) -> AuditResult | None:
        """Return the audit of these settings, None if there is none."""
        return AuditResult.read(self.artifacts["audit"]) if "audit" in self.artifacts else None


def finished_run(folder: Path, parts: Sequence[Part]) -> FinishedRun:
    """Return the run in `folder`, checked to contain every artifact that `parts` come from.

    Raises:
        UserError: not a run, an artifact is missing or damaged, or the data changed.
    """
    settings = run_settings(folder)
    store = Store(settings.execution.store)
    steps = plan(settings)
    target = {step.stage: step for step in steps if step.name == step.stage}
    read = ["prepare", "generate", "label", "adapt", "distill", "audit", *(STAGE[part] for part in parts)]
    store.require_intact(target[stage] for stage in dict.fromkeys(read))
    whole = {stage: store.folder(step) for stage, step in target.items() if store.has(step)}
    if missing := [part for part in parts if STAGE[part] not in whole]:
        changed = _was_made(folder, STAGE[missing[0]])
        raise UserError(
            f"{missing[0]}: {shown(folder)} has none for its settings: {CHANGED if changed else 'it was never computed'}. "
            f"Compute it with `tckr run {folder}`{_spent(settings, steps) if changed else ''}"
        )
    return FinishedRun(
        folder=folder, settings=settings, artifacts=whole, why_no_audit=_why_no_audit(folder, target["audit"], store)
    )


def run_settings(folder: Path) -> Settings:
    """Return the settings of the run in `folder`, corrected if the folder was moved.

    Raises:
        UserError: it is not a run's folder.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{shown(folder)} is not a run folder (it has no config.yaml); expected e.g. runs/demo")
    place = folder.absolute()
    return load_settings(
        folder / "config.yaml", options={"execution.output": str(place.parent), "execution.name": place.name}
    )


def _why_no_audit(folder: Path, step: Step, store: Store) -> str:
    if store.has(step):
        return ""
    return f"no audit of what would be released: {CHANGED}" if _was_made(folder, "audit") else "this run has no audit"


def _spent(settings: Settings, steps: Sequence[Step]) -> str:
    """Return whether a run spends its budget again if it has a formal guarantee and is computed again."""
    if not settings.privacy.is_on:
        return ""
    return f"; {SPENT_AGAIN if spends_again(settings, steps) else 'what has noise is kept, so no budget is spent again'}"


def _was_made(folder: Path, stage: str) -> bool:
    """Return whether the run's folder links to an artifact of `stage`, made with any settings."""
    return (folder / "artifacts" / stage).is_symlink()
