"""`tckr run`: run the complete pipeline, or up to one stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tckr.cli.completing import complete_stage
from tckr.cli.settings import Arguments, Data, Json, Name, Output, Preset, settings_from

if TYPE_CHECKING:
    from tckr.config import Settings
    from tckr.running import RunResult

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be computed and what is already complete; compute nothing.")
]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Read all data files again; this finds changes that kept a file's size and time."),
]
INVALID = 3


def run(
    arguments: Arguments = None,
    data: Data = None,
    until: Annotated[
        str, typer.Option(metavar="STAGE", help="Stop after this stage.", autocompletion=complete_stage)
    ] = "report",
    preset: Preset = None,
    name: Name = None,
    output: Output = None,
    dry_run: DryRun = False,
    verify: Verify = False,
    as_json: Json = False,
) -> None:
    """Run the pipeline on a data set: captions, adapter, images, Teacher, soft labels, Student, audit, report.

    A second call computes nothing; after a crash the same command continues. Changing a setting recomputes its stage and
    what follows. Exit status 3 when a control of the audit fails or a formal guarantee is refuted.
    """
    end(execute(settings_from(arguments, data, preset, name, output), until, dry_run, verify, as_json))


def execute(
    settings: Settings, until: str = "report", dry_run: bool = False, verify: bool = False, as_json: bool = False
) -> RunResult | None:
    """Run, or only print the plan. Prints the summary of a finished run, or the same as JSON."""
    if dry_run:
        from tckr.cli.status import show_plan
        from tckr.running import refuse_places

        refuse_places(settings)
        show_plan(settings, until, as_json)
        return None
    from tckr.cli.summary import print_summary, summary_json
    from tckr.cli.terminal import Terminal, write_json

    result = make(settings, until, verify=verify)
    if as_json:
        write_json(summary_json(result))
    else:
        print_summary(result, Terminal())
    return result


def make(settings: Settings, until: str, *, verify: bool = False) -> RunResult:
    """Run the pipeline and show progress on standard error."""
    from tckr.cli.console import ConsoleObserver, print_layout
    from tckr.cli.noted import notes_of
    from tckr.cli.terminal import Terminal, escape
    from tckr.running import run as run_pipeline

    def begin() -> None:
        places = escape(f"{settings.prepare.source} -> {settings.execution.folder}")
        console.print(f"[bold]tckr[/] {places}", soft_wrap=True)
        print_layout(console, known_layout(settings))

    console = Terminal(stderr=True)
    with ConsoleObserver(console, notes=notes_of(settings), begin=begin) as observer:
        return run_pipeline(settings, until, observer, verify=verify)


def known_layout(settings: Settings) -> list[str]:
    """Return how the data was interpreted, if `prepare` is complete; otherwise `prepare` itself prints it."""
    from tckr.data.layouts.description import read_layout
    from tckr.engine.store import Store
    from tckr.running import plan

    store, step = Store(settings.execution.store), plan(settings, "prepare")[0]
    return read_layout(store.folder(step)).lines() if store.has(step) else []


def end(result: RunResult | None) -> None:
    """End with exit status 3 when a control of the run's audit failed, or its formal guarantee was refuted.

    What the run says of privacy does not count then.
    """
    from tckr.cli.summary import audit_stands

    if result and not audit_stands(result):
        raise typer.Exit(INVALID)
