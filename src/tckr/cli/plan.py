"""`tckr audit --plan`: make the target run, then print the cost and precision of reference runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from tckr.cli.run import make
from tckr.cli.terminal import Terminal, write_json
from tckr.config import Settings
from tckr.costs.reference_cost import Bill, Repeated
from tckr.costs.reference_runs import Measurements
from tckr.costs.widths import detectable_auc, mean_width, numbers_to_compare, smallest_rate, target_width
from tckr.disk import size_text
from tckr.errors import UserError
from tckr.html.numbers import span
from tckr.membership.config import Depth


def plan_audit(settings: Settings, as_json: bool) -> None:
    """Run the target up to Student and Teacher, then print what reference runs cost and gain as a table or JSON.

    Raises:
        UserError: the settings leave no non-members, so an audit is impossible.
    """
    if settings.prepare.audit_holdout == 0:
        raise UserError("prepare.audit_holdout=0 leaves no non-members, so no audit is possible; set it, e.g. to 0.5")
    make(settings, "distill")
    if settings.privacy.is_on:
        make(settings, "teach")  # the Student does not depend on it
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
    groups = ", counted as groups" if found.units != (found.num_members, found.num_others) else ""
    width = target_width(members, others, level)
    return (
        f"{members} members and {others} non-members{groups}. With any number of reference runs, the AUC of the "
        f"target has a {level:.0%} interval {width:.3f} wide, and TPR can be measured down to an FPR of "
        f"{smallest_rate(others):.2%}."
    )


def _notes(settings: Settings, found: Measurements, steps: Mapping[Depth, Repeated]) -> str:
    number = settings.audit.num_reference_runs
    workers = settings.execution.num_workers(number)
    estimated = ", ".join(f"{depth} {found.bill(costs, number).estimated:.0%}" for depth, costs in steps.items())
    return (
        "mean AUC: width of its interval over runs (default attack). Both widths are those expected if nothing leaks.\n"
        "finds AUC: a mean AUC that 80 of 100 audits would detect, on surfaces that the depth repeats.\n"
        f"time: to train and query the runs and the controls, {workers} at a time, without judging and process "
        "starts; first if threads do not help, then if they help fully. Estimated instead of measured "
        f"(queries, longer controls): {estimated}.\n"
        f"*: as configured (audit.num_reference_runs={number}, audit.depth={settings.audit.depth})."
    )


def _cell(cost: Bill, marked: bool) -> str:
    return f"{span(cost.fastest, cost.slowest)}{' *' * marked}\n{size_text(cost.num_bytes)}"
