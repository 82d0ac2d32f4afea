"""Compute artifacts: a step starts as soon as its inputs are complete and the executor has room for it.

A killed step is run again: its stage function finds its partial folder and continues from there.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from tckr.disk import explained
from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Executor, Needs
from tckr.engine.executors.opening import open_executor
from tckr.engine.graph import sources_of
from tckr.engine.log import append_log
from tckr.engine.machine_share import needs_of
from tckr.engine.observer import Listener, Observer, Silent
from tckr.engine.ready_order import alone_of_target, turns_of
from tckr.engine.step import Role, Step, StepContext, Workers
from tckr.engine.store import Store
from tckr.engine.tracking import Trackers
from tckr.errors import UserError
from tckr.process import Gang


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Compute artifacts in `store`, and report to `observer` and the log file.

    With `keep_going`, a step that fails with a `UserError` stops only the steps that depend on it. With `target_first`, no
    reference run or control starts before those steps of the target that use the machine alone, so that the target's result
    is available as early as without an audit.
    """

    store: Store
    execution: ExecutionConfig
    log_file: Path
    observer: Observer = field(default_factory=Silent)
    keep_going: bool = False
    target_first: bool = False

    def run(self, steps: Sequence[Step]) -> dict[str, str]:
        """Run `steps`, each when its inputs are complete; complete steps are not computed again.

        If several steps are ready, the order of `steps` decides which starts first (`turns_of`). It changes no result.

        Returns:
            Name of each step that failed, or whose input failed -> reason; always empty without `keep_going`.

        Raises:
            UserError: a step failed (without `keep_going`), or a complete artifact is damaged.
        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self.store.require_intact(steps)  # before anything is computed
        missing = [step for step in steps if not self.store.has(step)]
        executor = open_executor(
            self.execution if missing else ExecutionConfig(), len(missing) and len(steps), self.observer
        )
        with executor:
            execution = executor.adapted(self.execution)
            needs = needs_of(steps, execution) if missing else {}  # of all steps, so that resuming gives each the same
            self.observer.planned(missing, {step.name: float(needs[step.name].share) for step in missing})
            executor.expect([needs[step.name] for step in missing])
            return replace(self, execution=execution)._run(steps, needs, executor)

    def _run(self, steps: Sequence[Step], needs: Mapping[str, Needs], executor: Executor) -> dict[str, str]:
        """Start ready steps while there is room, wait for a finished step, repeat."""
        by_name = {step.name: step for step in steps}
        turns = turns_of(steps, needs) if needs else {}
        awaited = alone_of_target(steps, needs) if needs and self.target_first else set()
        graph = TopologicalSorter(sources_of(steps))
        graph.prepare()
        ready: list[str] = []
        at_work: dict[Future[Any], Step] = {}
        failed: dict[str, str] = {}
        while graph.is_active():
            ready = sorted([*ready, *self._to_compute(graph, by_name, failed)], key=turns.__getitem__)
            awaited = {name for name in awaited if not self._is_over(by_name[name], failed)}
            for name in list(ready):
                if awaited and by_name[name].role is not Role.TARGET:
                    continue
                if executor.has_room(needs[name]):
                    ready.remove(name)
                    self.observer.started(by_name[name])
                    job = partial(_attempt, by_name[name], self.store, self.execution, self.log_file)
                    at_work[executor.submit(job, needs[name])] = by_name[name]
            for future in executor.completed():
                step = at_work.pop(future)
                failed |= self._conclude(step, future.result()) or self._refused(step, steps)
                graph.done(step.name)
        return failed

    def _is_over(self, step: Step, failed: Mapping[str, str]) -> bool:
        return step.name in failed or self.store.has(step)

    def _to_compute(
        self, graph: TopologicalSorter[str], by_name: Mapping[str, Step], failed: dict[str, str]
    ) -> Iterator[str]:
        """Yield the steps that have become ready; skip those that are complete or lack an input."""
        while names := graph.get_ready():
            for name in names:
                step = by_name[name]
                if self.store.has(step):
                    self.store.drop_remains(step)
                    self.observer.finished(step, self.store.manifest(step), True)
                    failed |= self._refused(step, list(by_name.values()))
                    graph.done(name)
                elif why := _why_impossible(step, failed):
                    failed[name] = why
                    graph.done(name)
                else:
                    yield name

    def _conclude(self, step: Step, outcome: dict[str, Any] | UserError) -> dict[str, str]:
        """Report how a step ended; if it failed, return its name and the reason."""
        if not isinstance(outcome, UserError):
            self.observer.finished(step, outcome, False)
            return {}
        if not self.keep_going:
            raise outcome
        self.observer.warned(f"{step.name} failed: {outcome}")
        return {step.name: str(outcome)}

    def _refused(self, complete: Step, steps: Sequence[Step]) -> dict[str, str]:
        """Ask every missing step that has a check for the complete one; return the name of each that refuses it, and why."""
        refused: dict[str, str] = {}
        for step in steps:
            check = step.checks.get(complete.fingerprint)
            if check and not self.store.has(step):
                try:
                    check(self.store.folder(complete))
                except UserError as error:
                    refused |= self._conclude(step, error)
        return refused


def _why_impossible(step: Step, failed: Mapping[str, str]) -> str:
    """Return why `step` refused what was computed before, or why an input of it failed; or an empty text."""
    return next((failed[each.name] for each in (step, *step.inputs.values()) if each.name in failed), "")


def run_step(
    step: Step,
    store: Store,
    execution: ExecutionConfig,
    log_file: Path,
    *,
    listener: Listener,
    workers: Workers | None,
    gang: Gang | None = None,
) -> dict[str, Any]:
    """Fill and commit one artifact; return its manifest. A step that runs beside others gets no `workers`."""
    heard = listener if step.role is Role.TARGET else Silent()  # warnings of reference runs and controls go only to the log
    write = partial(append_log, log_file, step.name, heard)
    store.wait_for(step.inputs.values())
    store.require_intact(step.inputs.values())  # checked in this process too: it may run days later on another machine
    became: dict[str, Any] = {}
    with store.filling(step, {"computed_on": _computed_on(execution), "became": became}) as draft:
        if draft is not None:
            write("started", fingerprint=step.fingerprint, resumed=any(draft.out.iterdir()) or any(draft.scratch.iterdir()))
            named = execution.trackers if step.role is Role.TARGET else ()
            trackers = Trackers(named, log_file.parent, step.name, lambda message: write("warning", message=message))
            with store.opened(step) as opened, closing(trackers):
                for name in opened:
                    source = step.inputs[name]
                    write(f"opened {', '.join(source.seals)}", sealed_by=source.name, times=store.num_openings(source))
                context = StepContext(
                    inputs={name: store.folder(source) for name, source in step.inputs.items()},
                    opened=opened,
                    out=draft.out,
                    final=store.folder(step),
                    scratch=draft.scratch,
                    seed=step.seed,
                    fingerprint=step.fingerprint,
                    run=step.run,
                    execution=execution,
                    track=partial(listener.track, step.name),
                    log=write,
                    workers=workers,
                    gang=gang,
                    note=trackers.note,
                    show=trackers.show,
                    became=became.update,
                    donors=[store.folder(donor) for donor in step.donors if store.has(donor) and not store.damage(donor)],
                )
                load_function(step.function)(step.config, context)
    manifest = store.manifest(step)
    write("complete", seconds=manifest["seconds"], peak_memory_mb=manifest["peak_memory_mb"])
    return manifest


def _computed_on(execution: ExecutionConfig) -> dict[str, Any]:
    import torch  # already loaded in processes that compute

    return {"device": execution.torch_device(), "threads": torch.get_num_threads(), "machine": platform.machine()}


def _attempt(
    step: Step,
    store: Store,
    execution: ExecutionConfig,
    log_file: Path,
    *,
    listener: Listener,
    workers: Workers | None,
    gang: Gang | None = None,
) -> dict[str, Any] | UserError:
    """Return the manifest, or the error for the user."""
    try:
        with explained(store.folder(step)):
            return run_step(step, store, execution, log_file, listener=listener, workers=workers, gang=gang)
    except UserError as error:
        return error


def load_function(path: str) -> Callable[[Any, StepContext], None]:
    """Return the function named by `package.module:name`."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)
