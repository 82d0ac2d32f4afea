"""`tckr status`: list the complete, started, interrupted, partly complete and missing steps of a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tckr.cli.newest import newest_run, runs_below
from tckr.cli.settings import Json, Output, check_run_folder, settings_from

if TYPE_CHECKING:
    from rich.console import Console

    from tckr.config import Settings
    from tckr.engine.step import Step
    from tckr.engine.store import Store
    from tckr.progress.written import Progress


DAMAGED = 2
MOST_NAMED = 5
"""Number of other runs, or of steps, that are listed."""

OUTDATED = "computed before settings, data or TCKR itself changed, so a run would compute them again"


def status(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run's folder.", show_default="the newest run")
    ] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Show which steps of a run are complete, with their time and memory, and the progress of a running one.

    Reads every file of the complete steps; exit status 2 if one is damaged.
    """
    from tckr.cli.terminal import complain

    chosen = folder or newest_run(output)
    check_run_folder(chosen)
    if not as_json:
        _print_work(chosen)  # first: reading every file may take long
    show_plan(settings_from([str(chosen)], None, None, None, None), "report", as_json)
    others = [path for path in runs_below(output) if path != chosen] if folder is None else []
    if others:
        more = " ..." if len(others) > MOST_NAMED else ""
        complain(f"other runs, newest first: {', '.join(map(str, others[:MOST_NAMED]))}{more}")


def _print_work(folder: Path) -> None:
    """Print how far a run is, if one is going on."""
    from tckr.cli.terminal import Terminal, escape

    worker, progress = _at_work(folder)
    if worker is None:
        return
    console = Terminal()
    console.print(f"[bold]at work[/]  {escape(worker)}", soft_wrap=True)
    if progress is not None:
        console.print(f"  {escape(progress.sentence())} ({progress.age():.0f} s ago)", soft_wrap=True)


def show_plan(settings: Settings, until: str, as_json: bool) -> None:
    """Print the state of a plan; exit with status 2 if an artifact is damaged."""
    from tckr.cli.terminal import Terminal, write_json

    found = read_plan(settings, until)
    if as_json:
        write_json(found)
    else:
        _print(found, Terminal())
    if found["damaged"]:
        raise typer.Exit(DAMAGED)


def read_plan(settings: Settings, until: str = "report") -> dict[str, Any]:
    """Return the state of a plan: one row per step; reference runs and controls share one row per stage."""
    from tckr.engine.store import Store
    from tckr.running import plan, spends_again

    store = Store(settings.execution.store)
    worker, progress = _at_work(settings.execution.folder)
    steps, links = plan(settings, until), settings.execution.folder / "artifacts"
    damaged = {step.name: damage for step in steps if (damage := store.damage(step))}
    return {
        "folder": str(settings.execution.folder.absolute()),
        "source": settings.prepare.source,
        "at_work": worker,
        "progress": progress.model_dump() if progress else None,
        "complete": sum(store.has(step) and step.name not in damaged for step in steps),
        "total": len(steps),
        "steps": [_row(group, store, damaged, going_on=worker is not None) for group in _grouped(steps)],
        "spends_again": spends_again(settings, steps),
        "outdated": [step.name for step in steps if not store.has(step) and (links / step.name).is_symlink()],
        "sealed": [
            {"step": step.name, "splits": list(step.seals), "times_opened": store.num_openings(step)}
            for step in steps
            if step.seals and store.has(step)
        ],
        "damaged": damaged,
    }


def _at_work(folder: Path) -> tuple[str | None, Progress | None]:
    """Return the process that computes a run, or its sweep, and the progress that it has written."""
    from tckr.progress.written import read_progress

    return read_progress(folder) or (_sweep_at_work(folder), None)


def _sweep_at_work(folder: Path) -> str | None:
    """Return the process that computes a sweep of which `folder` is a variant; None if there is none."""
    from tckr.engine.folders import HOLD, Kind, read_marker
    from tckr.engine.hold import ALONE, worker_at

    marker = read_marker(folder.parent)
    return worker_at(folder.parent / HOLD, (ALONE,)) if marker and marker.kind is Kind.SWEEP else None


def _print(found: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    from tckr.cli.terminal import escape

    table = Table("step", "state", "time", "peak memory", "artifact")
    for row in found["steps"]:
        count = f" {row['complete']}/{row['total']}" if row["total"] > 1 else ""
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f} s"
        memory = "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:,d} MB"
        table.add_row(row["name"], row["state"] + count, seconds, memory, escape(row["artifact"] or ""))
    console.print(escape(f"{found['folder']}  ({found['source']})"), style="italic", soft_wrap=True)
    console.print(table)
    console.print(f"{found['complete']} of {found['total']} steps are complete.")
    if outdated := found["outdated"]:
        names = ", ".join(outdated[:MOST_NAMED]) + " ..." * (len(outdated) > MOST_NAMED)
        console.print(f"outdated  {names}: {OUTDATED}", soft_wrap=True)
    if found["spends_again"]:
        from tckr.artifacts.guarantee import SPENT_AGAIN

        console.print(f"warning   the run has a formal guarantee; {SPENT_AGAIN}", soft_wrap=True)
    for sealed in found["sealed"]:
        splits = ", ".join(sealed["splits"])
        console.print(f"{sealed['step']}: the split {splits} is sealed and was opened {sealed['times_opened']} times.")
    for name, damage in found["damaged"].items():
        console.print(f"[red]damaged[/]  {name}: {escape(damage)}", soft_wrap=True)


def _grouped(steps: list[Step]) -> list[list[Step]]:
    """Return single steps of the target run, and the reference runs and controls of one stage together."""
    from tckr.engine.step import Role

    groups: dict[str, list[Step]] = {}
    for step in sorted(steps, key=_place):
        key = step.name if step.role is Role.TARGET else f"{step.stage} (references)"
        groups.setdefault(key, []).append(step)
    return list(groups.values())


def _place(step: Step) -> tuple[int, int]:
    """Return the sort key of a step: target run, then audit runs, then verdict and report; within these, by stage."""
    from tckr.engine.step import Role
    from tckr.pipeline import STAGES

    chapter = 1 if step.role is not Role.TARGET else 2 if step.stage in ("audit", "report") else 0
    return chapter, STAGES.index(step.stage)


def _unfinished(group: Sequence[Step], complete: Sequence[Step], store: Store, *, going_on: bool) -> str:
    """Return the state of a group with incomplete steps. What was begun is interrupted if no process works on it.

    Some steps can be complete although none was begun for this run: those of earlier settings, or of another run.
    """
    rest = [step for step in group if step not in complete]
    begun = any(map(store.is_begun, rest))
    if (begun or complete) and (going_on or any(map(store.is_at_work, rest))):
        return "started"
    return "interrupted" if begun else "partial" if complete else "missing"


def _row(group: Sequence[Step], store: Store, damaged: Collection[str], *, going_on: bool) -> dict[str, Any]:
    """Return the row of `group`; `going_on`: whether a process works in the run's folder."""
    complete = [step for step in group if store.has(step) and step.name not in damaged]
    manifests = [store.manifest(step) for step in complete]
    state = "complete" if len(complete) == len(group) else _unfinished(group, complete, store, going_on=going_on)
    if any(step.name in damaged for step in group):
        state = "damaged"
    return {
        "name": group[0].name if len(group) == 1 else f"{group[0].stage} x {len(group)}",
        "state": state,
        "complete": len(complete),
        "total": len(group),
        "seconds": sum(manifest["seconds"] for manifest in manifests) if manifests else None,
        "peak_memory_mb": max(manifest["peak_memory_mb"] for manifest in manifests) if manifests else None,
        "artifact": str(store.folder(group[0]).absolute()) if len(group) == 1 and state != "missing" else None,
    }
