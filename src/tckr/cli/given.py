"""`tckr audit --scores`: audit a table of scores and membership from any source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from tckr.artifacts.audit import AuditResult, SurfaceResult
from tckr.artifacts.document import json_text
from tckr.cli.bars import Bars
from tckr.cli.terminal import Terminal, escape, write_json
from tckr.config import load_settings, run_name
from tckr.engine.folders import Folder, Kind, text_fill
from tckr.errors import UserError, shown
from tckr.html.numbers import rounded_down
from tckr.membership.evidence import Evidence
from tckr.membership.scores import write_scores
from tckr.membership.wording import judged_units, surface_text, together_lines, verdict_text
from tckr.metrics.estimate import Estimate, Measured
from tckr.stages.audit.config import AuditConfig
from tckr.tables.audit import as_judged, as_signals, judge_table, read_table
from tckr.tables.scales import remarks

SETTINGS = ("audit.scorer", "audit.confidence", "audit.family_level", "audit.delta", "audit.signal")
TABLE_NAME = "scores.parquet"
NOTES = (
    "mean: mean AUC with each run in turn as the target; what training of this kind leaks. run 0: only the target. "
    "all runs: TPR with thresholds from other runs. bounds: epsilon, and mu of Gaussian differential "
    "privacy, are at least this. strongest: the best of all attacks on run 0, chosen on the same records "
    "that it is measured on."
)
SIDE_BY_SIDE = 3
"""Surfaces in one printed table; more do not fit into 80 columns."""


def audit_table(file: Path, overrides: Sequence[str], output: Path | None, as_json: bool = False) -> AuditResult:
    """Audit the table in `file`, write audit.json and the table with the attack's scores to `output`, print the findings.

    With `as_json`, print the content of audit.json instead.

    Raises:
        UserError: the table cannot be audited, a setting does not apply to tables, or the folder holds other results.
    """
    config = _config(overrides)
    folder = output or Path("runs") / f"audit-{run_name(file.stem)}"
    console = Terminal(stderr=True)
    own = Folder(folder, Kind.SCORES, lambda message: console.print(escape(message), soft_wrap=True))
    given, depth = read_table(file)
    evidence = as_signals(config.signal, given)
    _refuse_other(own, file, evidence)
    track = partial(Bars(console).open, "audit", unit="attacks")
    result, judged = judge_table(config, evidence, depth, track), as_judged(config, depth)
    found = result.model_dump(mode="json")
    with own.held():
        own.put(
            {
                TABLE_NAME: lambda path: write_scores(path, judged, evidence, depth=depth),
                result.file_name: text_fill(json_text(found)),
            }
        )
    if as_json:
        write_json({"folder": str(folder), **found})
    else:
        _print(result, folder, list(remarks(given.signals, given.members, config.signal, given.groups)), Terminal())
    return result


def _config(overrides: Sequence[str]) -> AuditConfig:
    for text in overrides:
        if text.partition("=")[0] not in SETTINGS:
            raise UserError(f"found {shown(text)} with --scores; expected {', '.join(f'{name}=...' for name in SETTINGS)}")
    return load_settings(overrides=overrides).audit


def _refuse_other(folder: Folder, file: Path, evidence: Evidence) -> None:
    """Raise a UserError if `folder` holds the table itself, results of another table, or files that TCKR did not write."""
    folder.check()
    table = folder.path / TABLE_NAME
    if table.exists() and table.samefile(file):
        raise UserError(f"{folder.path} holds the table itself; give another --output")
    if table.exists() and not _says(table, evidence):
        raise UserError(f"{folder.path} holds the audit of another table; give another --output, or remove that folder")


def _says(table: Path, evidence: Evidence) -> bool:
    try:
        other, _ = read_table(table)
    except UserError:
        return False
    return np.array_equal(other.members, evidence.members) and _equal(other.signals, evidence.signals)


def _equal(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    return set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)


def _print(result: AuditResult, folder: Path, remarked: list[str], console: Console) -> None:
    console.print(_origin(result), soft_wrap=True)
    for table in _tables(result):
        console.print(table)
    console.print(NOTES, soft_wrap=True)
    if result.declared.generator_shared:
        console.print(
            "soft_labels, student: only leakage through the labels is measured, because all runs share the generator",
            soft_wrap=True,
        )
    for control in result.controls:
        if control.decides and not control.passed:
            where = f"{control.name} ({control.surface}, {control.measure})"
            console.print(escape(f"{where}: found {control.found}; expected {control.expected}"), soft_wrap=True)
    for remark in remarked:
        console.print(escape(remark), style="yellow", soft_wrap=True)
    for name, surface in result.surfaces.items() if result.valid else ():
        console.print(escape(f"{name}: {surface.state}: {surface_text(surface)}"), soft_wrap=True)
    for text in together_lines(result):
        console.print(escape(text), soft_wrap=True)
    console.print(
        escape(f"Privacy: {verdict_text(result.verdict)}"), style="green" if result.valid else "yellow", soft_wrap=True
    )
    console.print(escape(f"results        {folder}"), soft_wrap=True)


def _origin(result: AuditResult) -> str:
    declared = result.declared
    depth = f", depth {declared.depth}" if declared.depth else ""
    units = f"{declared.num_members} members and {declared.num_non_members} non-members"
    if declared.unit == "group":
        units = judged_units(declared)
    return f"{units} of the target; {declared.num_reference_runs} reference runs{depth}"


def _tables(result: AuditResult) -> Iterator[Table]:
    names = list(result.surfaces)
    for start in range(0, len(names), SIDE_BY_SIDE):
        chosen = names[start : start + SIDE_BY_SIDE]
        table = Table("surface", *(Column(escape(name), overflow="fold") for name in chosen))
        columns = [_findings(result.surfaces[name], result.declared.confidence) for name in chosen]
        for row in columns[0]:
            table.add_row(row, *(escape(column[row]) for column in columns))
        yield table


def _findings(surface: SurfaceResult, confidence: float) -> dict[str, str]:
    """Return the rows that are printed for a surface: heading -> text."""
    rates, alone = surface.tpr[surface.attack], surface.leave_one_out.get(surface.attack)
    bound, mu, strongest = surface.epsilon_lower_bound, surface.mu_lower_bound, surface.strongest
    assert strongest is not None
    return {
        "attack": surface.attack,
        f"AUC, mean [{confidence:.0%}]": _short(alone.mean if alone else None),
        "AUC of run 0": _short(surface.of_target),
        "TPR, 1% FPR": _percent(rates["0.01"]),
        "TPR, 0.1% FPR": _percent(rates["0.001"]),
        "same, all runs": _percent(low.tpr) if (low := surface.low_fpr.get("0.001")) else "-",
        "epsilon bound": rounded_down(bound.value) if bound else "-",
        "mu bound": rounded_down(mu.mu) if mu else "-",
        "strongest": strongest.scorer if strongest.signal == surface.signal else f"{strongest.signal}, {strongest.scorer}",
        "its AUC": _short(strongest.auc),
    }


def _short(measured: Measured | None) -> str:
    """Return the number with its interval. audit.json gives the reason for a missing number."""
    return str(measured) if isinstance(measured, Estimate) else "-" if measured is None else "not measurable"


def _percent(measured: Measured) -> str:
    if not isinstance(measured, Estimate):
        return _short(measured)
    return f"{100 * measured.value:.1f} % [{100 * measured.low:.1f}, {100 * measured.high:.1f}]"
