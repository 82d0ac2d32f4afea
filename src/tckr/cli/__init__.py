"""The command line, one file per command. Heavy libraries are imported only when a command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tckr.cli import audit, captions, demo, doctor, estimate, inspect, release, report, reproduce, run, stage, status, sweep
from tckr.disk import explain
from tckr.errors import UserError, cut_message, printable
from tckr.process import limit_spinning

INTERRUPTED = 130  # typer's exit status after Ctrl-C
MISUSED = 2
"""Typer's exit status for an option that a command does not have."""

app = typer.Typer(
    name="tckr",
    help="Turn a private labelled image set into a synthetic one, train a Student on it alone, measure what leaked.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("inspect")(inspect.inspect)
app.command("estimate")(estimate.estimate)
app.command("doctor")(doctor.doctor)
app.command("sweep")(sweep.sweep)
app.command("reproduce")(reproduce.reproduce)
app.command("status")(status.status)
app.command("report")(report.report)
app.command("captions")(captions.captions)
app.command("release")(release.release)
stage.register(app)
app.command("audit", rich_help_panel=stage.PANEL)(audit.audit)


def _version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        try:
            typer.echo(f"tckr {metadata.version('tckr')}")
        except metadata.PackageNotFoundError:  # a source tree on the path alone
            typer.echo("tckr, not installed: run from its sources")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Define the options of `tckr` itself."""


def fail(message: str) -> NoReturn:
    """Print an error for the user and exit."""
    sys.stderr.write(f"error: {printable(message)}\n")
    sys.exit(2)


def main() -> None:
    """Run the command line. Exit status: 0 done, 2 a problem the user can fix, 3 audit invalid, 130 interrupted."""
    limit_spinning()
    try:
        app(prog_name="tckr")
    except UserError as error:
        fail(str(error))
    except OSError as error:
        fail(cut_message(str(explain(error, Path.cwd()) or error)))
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            sys.stderr.write("\ninterrupted; finished work is kept; the same command continues\n")
        if ended.code == MISUSED and (meant := settings_among(sys.argv[1:])):
            sys.stderr.write(
                f"Settings are written without dashes, as section.setting=value: {printable(', '.join(meant))}\n"
            )
        raise


def settings_among(arguments: Sequence[str]) -> list[str]:
    """Return the settings that arguments such as `--cardinality` or `--generate.cardinality` seem to mean."""
    from tckr.cli.settings import OPTIONS
    from tckr.config import setting_names

    given = [text[2:].partition("=")[0].replace("-", "_") for text in arguments if text.startswith("--")]
    names = list(setting_names())
    return [
        f"{name}=..."
        for one in given
        if one not in OPTIONS
        for name in names
        if "." in name and one in (name, name.rpartition(".")[2])
    ]
