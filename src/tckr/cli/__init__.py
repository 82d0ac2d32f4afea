"""The command line, one file per command; nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import typer

from tckr.cli import audit, captions, demo, doctor, estimate, inspect, release, report, reproduce, run, stage, status, sweep
from tckr.disk import explain
from tckr.errors import UserError, cut_message, printable

INTERRUPTED = 130  # typer's exit status after Ctrl-C

app = typer.Typer(
    name="tckr",
    help="Turn a private labelled image set into a synthetic one, train a Student on it alone, measure what leaked.",
    no_args_is_help=True,
    add_completion=False,
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
app.command("captions")(captions.captions)
app.command("release")(release.release)
stage.register(app)
app.command("audit", rich_help_panel=stage.PANEL)(audit.audit)
app.command("report", rich_help_panel=stage.PANEL)(report.report)


def fail(message: str) -> NoReturn:
    """Print what the user must know and end."""
    sys.stderr.write(f"error: {printable(message)}\n")
    sys.exit(2)


def main() -> None:
    """Run the command line: exit status 0 done, 2 a problem the user can fix, 3 audit invalid, 130 interrupted."""
    try:
        app()
    except UserError as error:
        fail(str(error))
    except OSError as error:
        fail(cut_message(str(explain(error, Path.cwd()) or error)))
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            sys.stderr.write("\ninterrupted; what is finished is kept, the same command continues\n")
        raise
