"""Keep the folder of a run up to date while it goes on: links to what is finished, and the first report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tckr.engine.folders import Folder, link_fill, text_fill
from tckr.engine.observer import Observer
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.first.page import audit_sentence, first_page
from tckr.first.result import FirstResult
from tckr.first.validation import VALIDATE, validate_step

ANSWERS = "signals."
"""Begins the name of the step that ends a reference run."""


def with_first_result(steps: Sequence[Step], confidence: float) -> list[Step]:
    """Return the steps of a run, and behind its Student the one that measures it before the audit; none without an audit.

    It counts as a step of the audit, so that it runs beside the others.
    """
    if "audit" not in {step.name for step in steps}:
        return list(steps)
    place = next(place for place, step in enumerate(steps) if step.name == "distill") + 1
    return [*steps[:place], validate_step(steps, confidence, stage="audit"), *steps[place:]]


class Showing:
    """An observer that writes into the run's folder what is finished, then passes everything on to another one."""

    def __init__(self, folder: Folder, steps: Sequence[Step], store: Store, observer: Observer) -> None:
        """Write into `folder`, which this process holds."""
        self._folder, self._store, self._observer = folder, store, observer
        self._target = {step.name: step for step in steps if step.role is Role.TARGET}
        self._running = {step.name for step in steps if step.role is Role.REFERENCE and step.name.startswith(ANSWERS)}
        self._num_runs = len(self._running)
        self._first: FirstResult | None = None
        self.planned, self.started = observer.planned, observer.started
        self.track, self.warned, self.described = observer.track, observer.warned, observer.described

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Write first: whoever is told of a step finds what it made."""
        if step.name in self._target and step.name != VALIDATE:
            place = os.path.relpath(self._store.folder(step), self._folder.path / "artifacts")
            self._folder.put({f"artifacts/{step.name}": link_fill(place)})
        if step.name == VALIDATE or step.name in self._running:
            self._running -= {step.name}
            self._write(known=step.name == VALIDATE)
        self._observer.finished(step, manifest, reused)

    def _write(self, *, known: bool) -> None:
        """Write the first report, unless there is a final one for these settings."""
        artifacts = {name: self._store.folder(step) for name, step in self._target.items()}
        if known:
            self._first = FirstResult.read(artifacts)
        if self._first is None or ("report" in self._target and self._store.has(self._target["report"])):
            return
        page = first_page(self._first, artifacts, audit_sentence(self._num_runs - len(self._running), self._num_runs))
        self._folder.put({"report/report.html": text_fill(page)})


def first_report(folder: Path) -> Path:
    """Return where the first report of a run lies; the final one takes its place."""
    return folder / "report" / "report.html"
