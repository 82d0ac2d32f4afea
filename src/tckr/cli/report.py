"""`tckr report`: bring the report up to date and open it."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from tckr.cli.run import DryRun, end, execute
from tckr.cli.settings import Arguments, Data, Name, Output, Preset, settings_from
from tckr.errors import UserError


def report(
    arguments: Arguments = None,
    data: Data = None,
    preset: Preset = None,
    name: Name = None,
    output: Output = None,
    dry_run: DryRun = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Write report.html and report.json, computing first what they need. Exit status 3 when a control failed."""
    from tckr.cli.terminal import complain

    settings = settings_from(arguments, data, preset, name, output)
    result = None
    page = settings.execution.folder / "report" / "report.html"
    try:
        result = execute(settings, "report", dry_run)
    except UserError as error:
        if not (open_browser and page.is_file()):
            raise
        complain(f"the report cannot be brought up to date: {error}")
        complain(f"opening the one that exists, {page}")
    if open_browser and not dry_run and not webbrowser.open(page.resolve().as_uri()):
        typer.echo("no browser found here; copy the file to a machine that has one")
    end(result)
