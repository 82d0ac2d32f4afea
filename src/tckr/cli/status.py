"""`tckr status`: what of a run is whole, what is begun, what is missing."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tckr.cli.settings import Output, check_run_folder, settings_from
from tckr.errors import UserError

if TYPE_CHECKING:
    from tckr.config import Settings
    from tckr.engine.step import Step
    from tckr.engine.store import Store


DAMAGED = 2


def status(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run's folder; by default every run below runs/.")
    ] = None,
    output: Output = None,
) -> None:
    """Show which steps of a run are whole, with their time and memory. Reads every file; exit status 2 if one is damaged."""
    if folder:
        return _end(sound=_print_run(folder))
    from tckr.cli.terminal import complain

    output = output or Path("runs")
    folders = sorted(path.parent for path in output.glob("*/config.yaml"))
    if not folders:
        raise UserError(
            f"no run below {output}; start one with `tckr demo` or `tckr run --data FOLDER`, or name a run's folder"
        )
    sound = True
    for path in folders:
        try:
            sound &= _print_run(path)
        except UserError as error:
            complain(f"{path}: {error}")
    return _end(sound=sound)


def _end(*, sound: bool) -> None:
    if not sound:
        raise typer.Exit(DAMAGED)


def _print_run(folder: Path) -> bool:
    check_run_folder(folder)
    return print_plan(settings_from([str(folder)], None, None, None, None))


def print_plan(settings: Settings, until: str = "report") -> bool:
    """Print one row per step, those of reference runs together; return whether all that is whole is as it was written."""
    from rich.table import Table

    from tckr.cli.terminal import Terminal, escape
    from tckr.engine.store import Store
    from tckr.running import plan

    store = Store(settings.execution.store)
    steps = plan(settings, until)
    table = Table("step", "state", "time", "peak memory", "artifact")
    damaged = {step.name: damage for step in steps if (damage := store.damage(step))}
    for group in _grouped(steps):
        table.add_row(*_row(group, store, damaged))
    whole = sum(store.has(step) and step.name not in damaged for step in steps)
    console = Terminal()
    console.print(escape(f"{settings.execution.folder}  ({settings.prepare.source})"), style="italic", soft_wrap=True)
    console.print(table)
    console.print(f"{whole} of {len(steps)} steps are whole.")
    for step in (step for step in steps if step.seals and store.has(step)):
        console.print(f"{step.name}: {', '.join(step.seals)} is sealed and was opened {store.num_openings(step)} times.")
    for name, damage in damaged.items():
        console.print(f"[red]damaged[/]  {name}: {escape(damage)}", soft_wrap=True)
    return not damaged


def _grouped(steps: list[Step]) -> list[list[Step]]:
    """Return single steps of the target run, and the reference runs and controls of one stage together."""
    from tckr.engine.step import Role

    groups: dict[str, list[Step]] = {}
    for step in sorted(steps, key=_place):
        key = step.name if step.role is Role.TARGET else f"{step.stage} (references)"
        groups.setdefault(key, []).append(step)
    return list(groups.values())


def _place(step: Step) -> tuple[int, int]:
    """Return where a step is shown: the target run, what the audit makes, then the verdict and the report; by stage."""
    from tckr.engine.step import Role
    from tckr.pipeline import STAGES

    chapter = 1 if step.role is not Role.TARGET else 2 if step.stage in ("audit", "report") else 0
    return chapter, STAGES.index(step.stage)


def _row(group: list[Step], store: Store, damaged: Collection[str]) -> tuple[str, str, str, str, str]:
    from tckr.cli.terminal import escape

    whole = [step for step in group if store.has(step) and step.name not in damaged]
    manifests = [store.manifest(step) for step in whole]
    name = group[0].name if len(group) == 1 else f"{group[0].stage} x {len(group)}"
    begun = any(store.is_begun(step) for step in group)
    state = "whole" if len(whole) == len(group) else "begun" if begun or whole else "missing"
    if any(step.name in damaged for step in group):
        state = "damaged"
    count = f" {len(whole)}/{len(group)}" if len(group) > 1 else ""
    seconds = f"{sum(manifest['seconds'] for manifest in manifests):.1f} s" if manifests else ""
    memory = f"{max(manifest['peak_memory_mb'] for manifest in manifests):,d} MB" if manifests else ""
    place = escape(str(store.folder(group[0]))) if len(group) == 1 and state != "missing" else ""
    return name, state + count, seconds, memory, place
