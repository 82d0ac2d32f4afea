"""Run steps in their order, skipping what is whole; independent neighbours of one stage run side by side.

A step killed in the middle is simply run again: its stage function finds its partial folder and goes on from there.
"""

from __future__ import annotations

import importlib
import json
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tckr.disk import explained
from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors.local import LocalExecutor
from tckr.engine.step import Step, StepContext, Workers
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.process import give_back_memory, set_up_process


class Observer(Protocol):
    """See what the runner does: the console, or nothing."""

    def started(self, steps: Sequence[Step]) -> None:
        """Steps of one stage begin."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """One artifact is whole."""

    def track(self, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar for the stage in progress."""

    def warned(self, message: str) -> None:
        """A stage has something to tell the user."""


class Silent:
    """Observe nothing: in worker processes, and where there is no console."""

    def started(self, steps: Sequence[Step]) -> None:
        """Ignore it."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Ignore it."""

    def track(self, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Count nothing."""
        return nullcontext(lambda amount: None)

    def warned(self, message: str) -> None:
        """Ignore it."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Bring steps to whole artifacts in `store`, telling `observer` and the log file.

    With `keep_going` a step that ends in a `UserError` stops what depends on it and nothing else.
    """

    store: Store
    execution: ExecutionConfig
    log_file: Path
    observer: Observer = field(default_factory=Silent)
    keep_going: bool = False

    def run(self, steps: Sequence[Step]) -> dict[str, str]:
        """Run `steps`, which are ordered so that inputs come first; what is whole is not computed again.

        Returns:
            Name of each step that failed, or lacks an input that did -> why; always empty without `keep_going`.

        Raises:
            UserError: without `keep_going`, what a step ended with; a whole artifact is damaged.
        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self.store.require_intact(steps)  # before anything is computed
        failed: dict[str, str] = {}
        with LocalExecutor(self.execution.threads_for) as executor:
            for group in neighbours(steps):
                missing = [step for step in group if not self.store.has(step)]
                names = {step.name for step in missing}
                for step in group:
                    if step.name not in names:
                        self.store.drop_remains(step)
                        self.observer.finished(step, self.store.manifest(step), True)
                failed |= {step.name: why for step in missing if (why := _why_impossible(step, failed))}
                possible = [step for step in missing if step.name not in failed]
                if possible:
                    num_workers = self.execution.num_workers(len(group))  # here a device that is not there is refused
                    self.observer.started(possible)
                    failed |= self._run_group(possible, num_workers, executor)
        return failed

    def _run_group(self, steps: Sequence[Step], num_workers: int, executor: LocalExecutor) -> dict[str, str]:
        """Run independent steps; `num_workers` depends on the whole group, not on what is missing, so resuming keeps it."""
        if num_workers == 1:
            set_up_process(self.execution.threads_for(1))
            outcomes = (self._alone(step, executor) for step in steps)
            return self._finish(outcomes)
        job = partial(_attempt, store=self.store, execution=self.execution, log_file=self.log_file, observer=Silent())
        with self.observer.track(len(steps), "runs") as advance:
            return self._finish(executor.map(job, steps, num_workers), advance)

    def _alone(self, step: Step, executor: LocalExecutor) -> Outcome:
        executor.close()  # a step that runs alone has the memory and the device to itself
        give_back_memory()
        return _attempt(step, self.store, self.execution, self.log_file, self.observer, workers=executor.map)

    def _finish(self, outcomes: Iterator[Outcome], advance: Callable[[int], None] = lambda amount: None) -> dict[str, str]:
        """Tell of each outcome as it comes; return why the steps that failed did."""
        failed = {}
        for step, outcome in outcomes:
            if not isinstance(outcome, UserError):
                self.observer.finished(step, outcome, False)
            elif self.keep_going:
                failed[step.name] = str(outcome)
                self.observer.warned(f"{step.name} failed: {outcome}")
            else:
                raise outcome
            advance(1)
        return failed


Outcome = tuple[Step, dict[str, Any] | UserError]
"""A step with its manifest, or with what the user must know."""


def neighbours(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield maximal stretches of adjacent steps of one stage of which none is an input or a donor of another."""
    group: list[Step] = []
    for step in steps:
        independent = not group or (step.stage == group[0].stage and not _depends(step, group))
        if not independent:
            yield group
            group = []
        group.append(step)
    if group:
        yield group


def _depends(step: Step, group: Sequence[Step]) -> bool:
    names = {source.name for source in (*step.inputs.values(), *step.donors)}
    return any(member.name in names for member in group)


def _why_impossible(step: Step, failed: Mapping[str, str]) -> str:
    """Return why an input of `step` failed, or an empty text."""
    return next((failed[source.name] for source in step.inputs.values() if source.name in failed), "")


def run_step(
    step: Step,
    store: Store,
    execution: ExecutionConfig,
    log_file: Path,
    observer: Observer,
    *,
    workers: Workers | None = None,
) -> dict[str, Any]:
    """Fill and commit one artifact; return its manifest. A step that runs beside others gets no `workers` of its own."""
    write = partial(append_log, log_file, step.name, observer)
    store.require_intact(step.inputs.values())  # in this process too: days may have passed, and it may be another machine
    with store.filling(step, _computed_on(execution)) as draft:
        if draft is not None:
            write("started", fingerprint=step.fingerprint, resumed=any(draft.out.iterdir()) or any(draft.scratch.iterdir()))
            with store.opened(step) as opened:
                for name in opened:
                    source = step.inputs[name]
                    write(f"opened {', '.join(source.seals)}", sealed_by=source.name, times=store.num_openings(source))
                context = StepContext(
                    inputs={name: store.folder(source) for name, source in step.inputs.items()},
                    opened=opened,
                    out=draft.out,
                    scratch=draft.scratch,
                    seed=step.seed,
                    run=step.run,
                    execution=execution,
                    track=observer.track,
                    log=write,
                    workers=workers,
                    donors=[store.folder(donor) for donor in step.donors if store.has(donor) and not store.damage(donor)],
                )
                load_function(step.function)(step.config, context)
    manifest = store.manifest(step)
    write("whole", seconds=manifest["seconds"], peak_memory_mb=manifest["peak_memory_mb"])
    return manifest


def _computed_on(execution: ExecutionConfig) -> dict[str, Any]:
    import torch  # loaded already where something is computed

    return {"device": execution.torch_device(), "threads": torch.get_num_threads(), "machine": platform.machine()}


def _attempt(
    step: Step,
    store: Store,
    execution: ExecutionConfig,
    log_file: Path,
    observer: Observer,
    *,
    workers: Workers | None = None,
) -> Outcome:
    try:
        with explained(store.folder(step)):
            return step, run_step(step, store, execution, log_file, observer, workers=workers)
    except UserError as error:
        return step, error


def load_function(path: str) -> Callable[[Any, StepContext], None]:
    """Return the function named by `package.module:name`."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


_LOG_LOCK = threading.Lock()


def append_log(log_file: Path, step_name: str, observer: Observer, event: str, **fields: Any) -> None:
    """Append one event as a JSON line; an event `warning` with a `message` is also shown to the user."""
    line = json.dumps({"time": round(time.time(), 3), "step": step_name, "event": event, **fields}, default=str)
    with explained(log_file), _LOG_LOCK, log_file.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    if event == "warning":
        observer.warned(f"{step_name}: {fields.get('message', '')}")
