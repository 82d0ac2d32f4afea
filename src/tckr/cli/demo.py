"""`tckr demo`: the complete pipeline on scikit-learn's handwritten digits with the embedded models."""

from __future__ import annotations

from typing import Annotated

import typer

from tckr.cli.completing import complete_setting
from tckr.cli.run import DryRun, end, execute
from tckr.cli.settings import Json, Output, settings_from
from tckr.errors import UserError, shown


def demo(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.", autocompletion=complete_setting),
    ] = None,
    output: Output = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run the pipeline on 1,797 scans of handwritten digits. Needs no data, no download, and some minutes on two CPU cores.

    Exit status 3 if a control of the audit fails.
    """
    if unnamed := [text for text in overrides or [] if "=" not in text]:
        raise UserError(
            f"found {shown(unnamed[0])}; tckr demo takes only settings, written "
            f"section.setting=value; for your own data use tckr run"
        )
    end(execute(settings_from(overrides, None, "demo", None, output), dry_run=dry_run, as_json=as_json))
