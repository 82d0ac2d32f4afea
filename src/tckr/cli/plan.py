"""`tckr audit --plan`: make one run, then print what reference runs would cost and buy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from rich.console import Console
from rich.table import Table

from tckr.cli.run import execute
from tckr.cli.terminal import Terminal
from tckr.config import Settings
from tckr.costs.bill import Bill, Repeated
from tckr.costs.reference_runs import Measurements
from tckr.costs.widths import mean_width, numbers_to_compare, smallest_rate, target_width
from tckr.disk import size_text
from tckr.errors import UserError
from tckr.html.numbers import span
from tckr.membership.config import Depth


def plan_audit(settings: Settings) -> None:
    """Bring the target run up to its Student, then print a table of what reference runs cost and buy.

    Raises:
        UserError: the settings leave no non-members, so that nothing could be measured.
    """
    if settings.prepare.audit_holdout == 0:
        raise UserError("prepare.audit_holdout=0 leaves no non-members, so there is no audit to plan; set it, e.g. to 0.5")
    execute(settings, "distill")
    _print(settings, Measurements.of(settings), Terminal())


def _print(settings: Settings, found: Measurements, console: Console) -> None:
    configured, level = settings.audit, settings.audit.confidence
    depths: tuple[Depth, ...] = get_args(Depth)
    steps = {depth: found.repeated(depth) for depth in depths}
    table = Table("reference runs", "mean AUC", *(f"depth {depth}" for depth in depths))
    for number in numbers_to_compare(configured.num_reference_runs):
        bills = {depth: found.bill(steps[depth], number) for depth in depths}
        marked = {configured.depth} if number == configured.num_reference_runs else set()
        width = mean_width(found.num_members, found.num_others, number, level)
        table.add_row(str(number), f"{width:.3f}", *(_cell(bills[depth], depth in marked) for depth in depths))
    console.print(_constants(found, level), soft_wrap=True)
    console.print(table)
    console.print(_notes(settings, found, steps), soft_wrap=True)


def _constants(found: Measurements, level: float) -> str:
    width = target_width(found.num_members, found.num_others, level)
    return (
        f"{found.num_members} members and {found.num_others} non-members. With any number of reference runs: AUC of the "
        f"target with a {level:.0%} interval {width:.3f} wide, TPR down to an FPR of {smallest_rate(found.num_others):.2%}."
    )


def _notes(settings: Settings, found: Measurements, steps: Mapping[Depth, Repeated]) -> str:
    number = settings.audit.num_reference_runs
    workers = settings.execution.num_workers(number)
    estimated = ", ".join(f"{depth} {found.bill(costs, number).estimated:.0%}" for depth, costs in steps.items())
    return (
        "mean AUC: width of its interval over runs (default attack). Both widths are those to expect where nothing leaks.\n"
        f"time: to train and ask the runs and the controls, {workers} at a time, without judging and process starts; "
        "first if threads do not help, then if they help in full. Not measured but estimated (asking, longer controls): "
        f"{estimated}.\n"
        f"*: as configured (audit.num_reference_runs={number}, audit.depth={settings.audit.depth})."
    )


def _cell(cost: Bill, marked: bool) -> str:
    return f"{span(cost.fastest, cost.slowest)}{' *' * marked}\n{size_text(cost.num_bytes)}"
