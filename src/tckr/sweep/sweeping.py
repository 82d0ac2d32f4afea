"""Run a sweep into its folder.

runs/<sweep>/sweep.yaml      base settings and grids; `tckr sweep runs/<sweep>` continues from it
runs/<sweep>/sweep.parquet   one row per variant, rewritten as variants finish
runs/<sweep>/sweep.md, .html the table with its charts
runs/<sweep>/<variant>/      each variant as a separate run: config.yaml, artifacts/, report/
runs/<sweep>/store           link to the store shared by all runs of the output folder
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from tckr.config import Settings, absolute_source, saved_source, settings_text
from tckr.costs.variant import seconds_row
from tckr.engine.folders import Folder, Kind, link_fill, text_fill
from tckr.engine.observer import Observer
from tckr.engine.runner import Runner
from tckr.engine.secret import with_secret
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.running import open_folder, publish, refuse_missing_models, refuse_places, run_folder
from tckr.sweep.grid import Grid, lay_out
from tckr.sweep.page import pages
from tckr.sweep.plan import Planned, merge, plan_variant
from tckr.sweep.table import Row, measured_row, missing_row, write_table

TABLE_NAME = "sweep.parquet"
CONFIG_NAME = "sweep.yaml"


class SweepObserver(Observer, Protocol):
    """Receive the events of a sweep."""

    def variant_finished(self, name: str, row: Row) -> None:
        """A variant is complete."""


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """A finished sweep: its folder, the rows of its table, and the reasons of failures by variant."""

    folder: Path
    rows: Sequence[Row]
    failures: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """Everything that a sweep will compute."""

    base: Settings
    grids: Sequence[Grid]
    variants: Sequence[Planned]

    @property
    def folder(self) -> Path:
        """Return the sweep's folder."""
        return self.base.execution.folder


def plan_sweep(base: Settings, grids: Sequence[Grid], *, begins: bool = True) -> SweepPlan:
    """Return the plan of a sweep over `grids`, whose variants all start from `base`.

    If the sweep `begins` and its store has no secret, one is created; a plan that is only shown creates none.

    Raises:
        UserError: a grid (`lay_out`) or setting is invalid, the data source does not exist, or a folder overlaps the data or
            belongs to something else.
    """
    refuse_places(base, Kind.SWEEP)
    return with_secret(base.execution.store, functools.partial(_plan, base, grids), begins=begins)


def _plan(base: Settings, grids: Sequence[Grid], secret: bytes) -> SweepPlan:
    inside = base.execution.model_copy(update={"output": base.execution.folder})  # each variant is a run in this folder
    variants = []
    for variant in lay_out(grids):
        execution = inside.model_copy(update={"name": variant.name})
        variants.append(plan_variant(variant, base.model_copy(update={"execution": execution}), secret))
    return SweepPlan(base=base, grids=grids, variants=variants)


def steps_of(plans: Sequence[SweepPlan]) -> list[Step]:
    """Return the steps of all variants of some sweeps that share one store, each step once, in the order of work."""
    return merge([planned for plan in plans for planned in plan.variants])


def run_sweeps(plans: Sequence[SweepPlan], observer: SweepObserver) -> list[SweepResult]:
    """Compute the missing steps of all variants and write the tables. A failed variant does not stop the others.

    Sweeps that run together must share one store; their steps use the processors together. A second call computes nothing;
    a call after a crash or a kill continues where the first one stopped.

    Raises:
        UserError: a folder belongs to something else or to other data, another process uses it, an artifact was changed,
            or a worker died.
    """
    check_sweeps(plans)
    with ExitStack() as stack:
        for plan in plans:
            stack.enter_context(sweep_folder(plan, observer).held())
        return _run_held(plans, observer)


def check_sweeps(plans: Sequence[SweepPlan]) -> None:
    """Raise a UserError if a sweep would overwrite its data or a folder of something else; write nothing."""
    for plan in plans:
        refuse_places(plan.base, Kind.SWEEP)
        for planned in plan.variants:
            Folder(planned.settings.execution.folder, Kind.RUN).check()


def sweep_folder(plan: SweepPlan, observer: Observer) -> Folder:
    """Return the folder of a sweep."""
    return Folder(plan.folder, Kind.SWEEP, observer.warned)


def _run_held(plans: Sequence[SweepPlan], observer: SweepObserver) -> list[SweepResult]:
    for plan in plans:
        _open(plan, observer)
    steps, execution = steps_of(plans), plans[0].base.execution
    refuse_missing_models(steps, Store(execution.store))
    results = [_Results(plan, observer) for plan in plans]
    store, log_file = Store(execution.store), sweep_folder(plans[0], observer).log_file()
    runner = Runner(
        store=store, execution=execution, log_file=log_file, observer=_Together(results, observer), keep_going=True
    )
    failed = runner.run(steps)
    why = {step.fingerprint: failed[step.name] for step in steps if step.name in failed}
    for found in results:
        found.note_failures(why)
        found.write()
    return [
        SweepResult(folder=plan.folder, rows=found.rows(), failures=found.failures)
        for plan, found in zip(plans, results, strict=True)
    ]


def _open(plan: SweepPlan, observer: Observer) -> None:
    """Create or reuse the folders of the sweep and its variants."""
    folder, source = plan.folder, saved_source(plan.folder / CONFIG_NAME)
    if source is not None and source != absolute_source(plan.base.prepare.source):
        raise UserError(
            f"{folder} contains a sweep on {source}; found prepare.source {plan.base.prepare.source}; give "
            "another --name, or remove that folder"
        )
    link = folder / "store"
    if link.exists() and not link.is_symlink():
        raise UserError(f"{link} is not a link to {folder.parent / 'store'}; remove it, or give the sweep another --name")
    Store(plan.base.execution.store).make()
    config = text_fill(settings_text(plan.base, [dict(grid) for grid in plan.grids]))
    sweep_folder(plan, observer).put({CONFIG_NAME: config, link.name: link_fill("../store")})
    for planned in plan.variants:
        open_folder(planned.settings, planned.steps, observer)


class _Together:
    """Forward the events of one runner to the observer and to the results of several sweeps."""

    def __init__(self, results: Sequence[_Results], observer: SweepObserver) -> None:
        self._results, self._observer = results, observer
        self.planned, self.started = observer.planned, observer.started
        self.track, self.warned, self.described = observer.track, observer.warned, observer.described

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Forward to the observer first."""
        self._observer.finished(step, manifest, reused)
        for found in self._results:
            found.finished(step, reused)


class _Results:
    """Publish each complete variant of a sweep, and update the table."""

    def __init__(self, plan: SweepPlan, observer: SweepObserver) -> None:
        self._plan, self._observer = plan, observer
        self._store = Store(plan.base.execution.store)
        self._missing = {planned.name: {step.fingerprint for step in planned.steps} for planned in plan.variants}
        self._rows: dict[str, Row] = {}
        self.failures: dict[str, str] = {}

    def finished(self, step: Step, reused: bool) -> None:
        """Publish the variants of which this was the last step."""
        for planned in self._plan.variants:
            missing = self._missing[planned.name]
            if step.fingerprint in missing:
                missing.remove(step.fingerprint)
                if not missing:
                    self._take(planned)
                    if not reused:
                        self.write()

    def note_failures(self, why: Mapping[str, str]) -> None:
        """Map failed steps, given by fingerprint, to the variants that need them."""
        for planned in self._plan.variants:
            reasons = [why[step.fingerprint] for step in planned.steps if step.fingerprint in why]
            if reasons:
                self.failures[planned.name] = reasons[0]

    def rows(self) -> list[Row]:
        """Return the table, one row per variant in the order of the grids."""
        rows = []
        for planned in self._plan.variants:
            failure = self.failures.get(planned.name)
            state = {"state": "failed" if failure else "missing", "failure": failure}
            measured = self._rows.get(planned.name) or state | missing_row()
            rows.append({"variant": planned.name, **self._swept(planned), **measured})
        return rows

    def write(self) -> None:
        """Write the table and the pages."""
        rows = self.rows()
        folder = sweep_folder(self._plan, self._observer)
        written = {name: text_fill(text) for name, text in pages(folder.path.name, rows, self._settings()).items()}
        folder.put({TABLE_NAME: lambda path: write_table(path, rows), **written})

    def _take(self, planned: Planned) -> None:
        publish(run_folder(planned.settings, self._observer), planned.steps, self._store)
        artifacts = {step.name: self._store.folder(step) for step in planned.steps}
        before = self._plan.variants[: self._plan.variants.index(planned)]
        known = {step.fingerprint for other in before for step in other.steps}
        row = {
            "state": "complete",
            "failure": None,
            **measured_row(artifacts),
            **seconds_row(planned.steps, self._store, known),
        }
        row["student"] = planned.step("distill").fingerprint
        row["report"] = str(Path(planned.name, "report", "report.html"))
        self._rows[planned.name] = row
        self._observer.variant_finished(planned.name, row)

    def _settings(self) -> list[str]:
        return list(dict.fromkeys(name for grid in self._plan.grids for name in grid))

    def _swept(self, planned: Planned) -> Row:
        """Return the value of every swept setting; a grid without a setting has the base's value."""
        return {name: setting(planned.settings, name) for name in self._settings()}


def setting(settings: Settings, name: str) -> Any:
    """Return the value of `section.setting`."""
    value: Any = functools.reduce(getattr, name.split("."), settings)
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
