"""Write the progress of a run into its folder, so that `tckr status` can show it on any terminal or machine."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from tckr.engine.folders import HOLD, OWN, PARTIAL
from tckr.engine.hold import worker_at
from tckr.engine.observer import Observer
from tckr.engine.private import create_private
from tckr.engine.step import Role, Step
from tckr.progress.counts import Counts
from tckr.progress.pace import Pace

PROGRESS = f"{OWN}progress"
"""Name of the file in the run's folder."""

SECONDS_BETWEEN = 2.0
"""Shortest time between two writings while a step advances."""


class Progress(BaseModel):
    """Progress of a run.

    Attributes:
        worker: process that works in the run's folder, as given by `worker_at`.
        time: when it was written, seconds since 1970.
        stage: first stage of the target run that is not complete.
        number: number of that stage, from 1.
        num_stages: number of stages of the target run.
        pace: finished steps, elapsed time and time left, as text.
        at_work: progress of the running steps, as text.
    """

    worker: str
    time: float
    stage: str
    number: int
    num_stages: int
    pace: str
    at_work: str

    def age(self) -> float:
        """Return the seconds since it was written; clocks of two machines may differ."""
        return max(0.0, time.time() - self.time)

    def sentence(self) -> str:
        """Return the progress as text."""
        now = f"; now {self.at_work}" if self.at_work else ""
        return f"stage {self.number} of {self.num_stages} ({self.stage}), {self.pace}{now}"


class ProgressFile:
    """An observer that writes the progress of a run into its folder, and passes everything on to another observer.

    The file exists while the `with` block lasts. Steps advance on several threads.
    """

    def __init__(self, folder: Path, steps: Sequence[Step], observer: Observer) -> None:
        """Store the run's folder, and all steps of the run in order."""
        self._path, self._observer = folder / PROGRESS, observer
        self._worker = worker_at(folder / HOLD) or ""
        self._left = Counter(step.stage for step in steps if step.role is Role.TARGET)
        self._stages = list(self._left)
        self._counts, self._pace = Counts(), Pace([], {})
        self._written, self._lock = 0.0, threading.Lock()
        self.started, self.warned, self.described = observer.started, observer.warned, observer.described

    def __enter__(self) -> Self:
        """Write nothing yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Start with the steps that are to be computed."""
        self._pace = Pace(steps, shares)
        self._write()
        self._observer.planned(steps, shares)

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Count a finished step."""
        if step.role is Role.TARGET:
            self._left[step.stage] -= 1
        self._pace.finished(step, manifest["seconds"])
        if not reused:
            self._write()  # first, because the observer may read the file
        self._observer.finished(step, manifest, reused)

    @contextmanager
    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Count the finished units of a step."""
        with (
            self._counts.open(step_name, total, unit, done) as count,
            self._observer.track(step_name, total, unit, done) as show,
        ):

            def advance(amount: int) -> None:
                count(amount)
                show(amount)
                if time.monotonic() - self._written > SECONDS_BETWEEN:
                    self._write()

            yield advance

    def _write(self) -> None:
        with self._lock:
            self._written = time.monotonic()
            stage = next((stage for stage in self._stages if self._left[stage] > 0), self._stages[-1])
            found = Progress(
                worker=self._worker,
                time=time.time(),
                stage=stage,
                number=self._stages.index(stage) + 1,
                num_stages=len(self._stages),
                pace=self._pace.sentence(self._counts.seconds_left()),
                at_work=self._counts.at_work(),
            )
            with suppress(OSError):  # a full disk ends the run when an artifact is written, not here
                _replace(self._path, found.model_dump_json())


def _replace(path: Path, text: str) -> None:
    """Write a file completely or not at all, first under a name that TCKR removes after a kill."""
    partial = path.with_name(f"{OWN}{uuid.uuid4().hex}{PARTIAL}")
    try:
        create_private(partial)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_progress(folder: Path) -> tuple[str, Progress | None] | None:
    """Return the process that works in a run's folder, and the progress if it is known; None if no process works there.

    What a killed process left in the folder is not the progress of the next one.
    """
    worker = worker_at(folder / HOLD)
    if worker is None:
        return None
    try:
        found = Progress.model_validate_json((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return worker, None
    return worker, found if found.worker == worker else None
