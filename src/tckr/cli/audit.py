"""`tckr audit`: a run's audit, that of a table of scores from elsewhere, or what more reference runs would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tckr.cli.run import INVALID, DryRun, end, execute
from tckr.cli.settings import Data, Json, Name, Preset, RunArguments, settings_of_run
from tckr.errors import UserError

Output = Annotated[
    Path | None,
    typer.Option(
        help="Folder for runs and the artifact store; with --scores the folder of its results.",
        show_default="runs; with --scores runs/audit-NAME",
    ),
]
Scores = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Audit this table of any model's scores and membership (.parquet or .npz, docs/audit.md) instead of a run; "
        "settings may be audit.scorer, audit.confidence, audit.family_level, audit.delta and audit.signal.",
        show_default=False,
    ),
]
Plan = Annotated[
    bool,
    typer.Option(
        "--plan",
        help="Make the target run up to its Student only, then print time, disk and interval widths of 4 to 256 reference "
        "runs at every depth.",
    ),
]


def audit(
    arguments: RunArguments = None,
    data: Data = None,
    preset: Preset = None,
    name: Name = None,
    output: Output = None,
    scores: Scores = None,
    plan: Plan = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Attack every surface for membership, with controls. Exit status 3 when a control fails."""
    if scores is not None:
        chosen = {"--data": data, "--name": name, "--plan": plan, "--dry-run": dry_run}
        if refused := [option for option, value in chosen.items() if value]:
            raise UserError(f"found --scores with {', '.join(refused)}; give --scores FILE alone, or a run without --scores")
        from tckr.cli.given import audit_table

        raise typer.Exit(0 if audit_table(scores, arguments or [], output, as_json).valid else INVALID)
    settings = settings_of_run(arguments, data, preset, name, output)
    if plan and not dry_run:
        from tckr.cli.plan import plan_audit

        return plan_audit(settings, as_json)
    return end(execute(settings, "distill" if plan else "audit", dry_run, as_json=as_json))
