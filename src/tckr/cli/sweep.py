"""`tckr sweep`: run a grid of settings; write one table and one frontier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tckr.cli.run import DryRun
from tckr.cli.settings import Arguments, Data, Name, Output, Preset, read_arguments
from tckr.errors import UserError, printable

if TYPE_CHECKING:
    from rich.console import Console

    from tckr.sweep.sweeping import SweepPlan, SweepResult

Over = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=V1,V2,...",
        help="A setting and its values (YAML; quote values that contain a comma). Repeat it to combine settings. Replaces "
        "the section `sweep` of CONFIG.",
        show_default=False,
    ),
]
FAILED = 2


def sweep(
    arguments: Arguments = None,
    data: Data = None,
    over: Over = None,
    preset: Preset = None,
    name: Name = None,
    output: Output = None,
    dry_run: DryRun = False,
) -> None:
    """Run every combination of some settings; common steps are computed once.

    The grids come from --over, or from a list `sweep` in CONFIG (docs/sweeps.md). Results: sweep.parquet, sweep.md and
    sweep.html in the sweep's folder, and one report per combination. A second call computes nothing; after a crash the same
    command continues. If a combination fails, the others continue, and the exit status is 2.
    """
    from tckr.config import load_sweep
    from tckr.sweep.grid import parse_over, read_grids
    from tckr.sweep.sweeping import CONFIG_NAME, plan_sweep

    settings, config = read_arguments(arguments, data, preset, name, output, sweep=CONFIG_NAME)
    section = load_sweep(config) if config else None
    if not over and section is None:
        raise UserError("nothing to sweep over; give --over generate.cardinality=0.1,1,10, or a list `sweep` in CONFIG")
    grids = [parse_over(over)] if over else read_grids(section, str(config))
    plan = plan_sweep(settings, grids, begins=not dry_run)
    for result in compute([plan], dry_run):
        _print_result(result, plan)
        finish([result])


def compute(plans: Sequence[SweepPlan], dry_run: bool) -> list[SweepResult]:
    """Print the plan of some sweeps, or compute them and return the results; print which variants failed."""
    from tckr.cli.terminal import Terminal, escape
    from tckr.sweep.sweeping import check_sweeps

    check_sweeps(plans)
    console = Terminal(stderr=not dry_run)  # a dry run prints results only
    for plan in plans:
        places = f"{plan.base.prepare.source} -> {plan.folder}"
        console.print(f"[bold]tckr[/] {escape(places)}: {len(plan.variants)} variants", soft_wrap=True)
    if dry_run:
        _print_plan(plans, console)
        return []
    from tckr.cli.sweep_console import SweepConsole
    from tckr.sweep.sweeping import run_sweeps

    num_variants = sum(len(plan.variants) for plan in plans)
    with SweepConsole(console, num_variants) as observer:
        results = run_sweeps(plans, observer)
    for name, why in (failure for result in results for failure in result.failures.items()):
        console.print(printable(f"failed: {name}: {why}"), soft_wrap=True, markup=False, style="red")
    return results


def finish(results: Sequence[SweepResult]) -> None:
    """Exit with status 2 if a variant failed."""
    if any(result.failures for result in results):
        raise typer.Exit(FAILED)


def _print_plan(plans: Sequence[SweepPlan], console: Console) -> None:
    from rich.table import Table

    from tckr.engine.store import Store
    from tckr.sweep.plan import sharing
    from tckr.sweep.sweeping import steps_of

    variants, all_steps = [planned for plan in plans for planned in plan.variants], steps_of(plans)
    store, users = Store(plans[0].base.execution.store), sharing(variants)
    table = Table("stage", "steps", "complete", "shared by several variants")
    for stage in dict.fromkeys(step.stage for step in all_steps):
        steps = [step for step in all_steps if step.stage == stage]
        whole, shared = sum(store.has(step) for step in steps), sum(users[step.fingerprint] > 1 for step in steps)
        table.add_row(stage, str(len(steps)), str(whole), str(shared))
    console.print(table)
    whole, alone = sum(store.has(step) for step in all_steps), sum(len(planned.steps) for planned in variants)
    console.print(f"{whole} of {len(all_steps)} steps are complete; {alone} without sharing.")


def _print_result(result: SweepResult, plan: SweepPlan) -> None:
    from tckr.cli.sweep_console import print_cells
    from tckr.cli.terminal import Terminal
    from tckr.sweep.frontier import frontiers
    from tckr.sweep.page import frontier_cells, gap_sentence, mean_cells, variant_cells

    console = Terminal()
    swept = list(dict.fromkeys(name for grid in plan.grids for name in grid))
    rows = [row | {"failure": None} for row in result.rows]  # the reasons are printed above; they do not fit into a cell
    print_cells(variant_cells(rows, swept), console)
    if means := mean_cells(result.rows, swept):
        print_cells(means, console)
    for found in frontiers(result.rows, swept):
        print_cells(frontier_cells(found), console)
        for sentence in (found.sentence, gap_sentence(found)):
            console.print(printable(sentence), soft_wrap=True, markup=False)
    for label, path in _places(result.folder).items():
        console.print(printable(f"{label:<14} {path}"), soft_wrap=True, markup=False)


def _places(folder: Path) -> dict[str, Path]:
    return {"table": folder / "sweep.parquet", "page": folder / "sweep.html"}
