"""`tckr report`: write the report of a run whose audit is done, and open it."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from tckr.cli.run import DryRun, end, execute
from tckr.cli.settings import Data, Json, Name, Output, Preset, RunArguments, settings_of_run
from tckr.errors import UserError

if TYPE_CHECKING:
    from tckr.config import Settings


def report(
    arguments: RunArguments = None,
    data: Data = None,
    preset: Preset = None,
    name: Name = None,
    output: Output = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Write report.html and report.json of a run that is finished up to its audit; compute nothing else.

    Exit status 2 when something else is missing, 3 when a control failed. While the audit goes on, the run's folder holds
    a first report, which --open opens.
    """
    from tckr.cli.terminal import complain

    settings = settings_of_run(arguments, data, preset, name, output)
    result = None
    page = settings.execution.folder / "report" / "report.html"
    try:
        refuse_unfinished(settings)
        result = execute(settings, "report", dry_run, as_json=as_json)
    except UserError as error:
        if not (open_browser and page.is_file()):
            raise
        complain(f"the report cannot be brought up to date: {error}")
        complain(f"opening the one that exists, {page}")
    if open_browser and not dry_run and not webbrowser.open(page.resolve().as_uri()):
        complain("no browser found here; copy the file to a machine that has one")
    end(result)


def refuse_unfinished(settings: Settings) -> None:
    """Raise a UserError when more than the report is missing of a run."""
    from tckr.engine.store import Store
    from tckr.running import plan

    store, steps = Store(settings.execution.store), plan(settings)
    missing = [step.name for step in steps if step.name != "report" and not store.has(step)]
    if missing:
        folder = settings.execution.folder
        raise UserError(
            f"{folder} is not finished for its settings: {len(missing)} of {len(steps)} steps are missing, {missing[0]} "
            f"first; compute them with `tckr run {folder}`, or see `tckr status {folder}`"
        )
