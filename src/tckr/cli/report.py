"""`tckr report`: bring the report up to date and open it."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from tckr.cli.run import DryRun, execute
from tckr.cli.settings import Arguments, Data, Name, Output, Preset, settings_from


def report(
    arguments: Arguments = None,
    data: Data = None,
    preset: Preset = "embedded",
    name: Name = None,
    output: Output = None,
    dry_run: DryRun = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Write report.html and report.json, computing first what they need."""
    result = execute(settings_from(arguments, data, preset, name, output), "report", dry_run)
    if result and open_browser and not webbrowser.open((result.folder / "report" / "report.html").resolve().as_uri()):
        typer.echo("no browser found here; copy the file to a machine that has one")
