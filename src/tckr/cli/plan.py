"""`tckr audit --plan`: make one run, then print what reference runs would cost and buy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from tckr.cli.run import make
from tckr.cli.terminal import Terminal, write_json
from tckr.config import Settings
from tckr.costs.bill import Bill, Repeated
from tckr.costs.reference_runs import Measurements
from tckr.costs.widths import detectable_auc, mean_width, numbers_to_compare, smallest_rate, target_width
from tckr.disk import size_text
from tckr.errors import UserError
from tckr.html.numbers import span
from tckr.membership.config import Depth


def plan_audit(settings: Settings, as_json: bool) -> None:
    """Bring the target run up to its Student, then print a table of what reference runs cost and buy, or the same as JSON.

    Raises:
        UserError: the settings leave no non-members, so that nothing could be measured.
    """
    if settings.prepare.audit_holdout == 0:
        raise UserError("prepare.audit_holdout=0 leaves no non-members, so there is no audit to plan; set it, e.g. to 0.5")
    make(settings, "distill")
    found = Measurements.of(settings)
    if as_json:
        write_json(_numbers(settings, found))
    else:
        _print(settings, found, Terminal())


def _numbers(settings: Settings, found: Measurements) -> dict[str, Any]:
    level, steps = settings.audit.confidence, {depth: found.repeated(depth) for depth in get_args(Depth)}
    return {
        "num_members": found.units[0],
        "num_non_members": found.units[1],
        "confidence": level,
        "target_auc_width": target_width(*found.units, level),
        "configured": {"num_reference_runs": settings.audit.num_reference_runs, "depth": settings.audit.depth},
        "plans": [
            {
                "num_reference_runs": number,
                "depth": depth,
                "mean_auc_width": mean_width(*found.units, number, level),
                "detectable_auc": detectable_auc(*found.units, number, settings.audit.family_level),
                "seconds_least": cost.fastest,
                "seconds_most": cost.slowest,
                "bytes": cost.num_bytes,
            }
            for number in numbers_to_compare(settings.audit.num_reference_runs)
            for depth, repeated in steps.items()
            for cost in (found.bill(repeated, number),)
        ],
    }


def _print(settings: Settings, found: Measurements, console: Console) -> None:
    configured, level = settings.audit, settings.audit.confidence
    depths: tuple[Depth, ...] = get_args(Depth)
    steps = {depth: found.repeated(depth) for depth in depths}
    table = Table("reference runs", "mean AUC", "finds AUC", *(f"depth {depth}" for depth in depths))
    for number in numbers_to_compare(configured.num_reference_runs):
        bills = {depth: found.bill(steps[depth], number) for depth in depths}
        marked = {configured.depth} if number == configured.num_reference_runs else set()
        width = mean_width(*found.units, number, level)
        power = detectable_auc(*found.units, number, configured.family_level)
        table.add_row(
            str(number), f"{width:.3f}", f"{power:.3f}", *(_cell(bills[depth], depth in marked) for depth in depths)
        )
    console.print(_constants(found, level), soft_wrap=True)
    console.print(table)
    console.print(_notes(settings, found, steps), soft_wrap=True)


def _constants(found: Measurements, level: float) -> str:
    members, others = found.units
    groups = ", all of them groups" if found.units != (found.num_members, found.num_others) else ""
    width = target_width(members, others, level)
    return (
        f"{members} members and {others} non-members{groups}. With any number of reference runs: AUC of the target with a "
        f"{level:.0%} interval {width:.3f} wide, TPR down to an FPR of {smallest_rate(others):.2%}."
    )


def _notes(settings: Settings, found: Measurements, steps: Mapping[Depth, Repeated]) -> str:
    number = settings.audit.num_reference_runs
    workers = settings.execution.num_workers(number)
    estimated = ", ".join(f"{depth} {found.bill(costs, number).estimated:.0%}" for depth, costs in steps.items())
    return (
        "mean AUC: width of its interval over runs (default attack). Both widths are those to expect where nothing leaks.\n"
        "finds AUC: what 80 of 100 audits would find, of surfaces that the depth repeats.\n"
        f"time: to train and ask the runs and the controls, {workers} at a time, without judging and process starts; "
        "first if threads do not help, then if they help in full. Not measured but estimated (asking, longer controls): "
        f"{estimated}.\n"
        f"*: as configured (audit.num_reference_runs={number}, audit.depth={settings.audit.depth})."
    )


def _cell(cost: Bill, marked: bool) -> str:
    return f"{span(cost.fastest, cost.slowest)}{' *' * marked}\n{size_text(cost.num_bytes)}"
