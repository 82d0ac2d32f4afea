"""One command per stage: update the target run's artifact of that stage."""

from __future__ import annotations

from collections.abc import Callable

import typer

from tckr.cli.run import DryRun, execute
from tckr.cli.settings import Arguments, Data, Name, Output, Preset, settings_from

PANEL = "One stage and what it needs"
STAGE_HELP = {
    "prepare": "Read and check the images, lock the test split, sample the membership matrix.",
    "caption": "Describe every member image in words.",
    "adapt": "Adapt the text-to-image model to the members: all of its weights, or a LoRA (adapt.method).",
    "generate": "Generate synthetic images from `class name: caption` prompts.",
    "teach": "Train the Teacher on the members.",
    "label": "Compute the Teacher's soft labels of the synthetic images.",
    "distill": "Train the Student on the synthetic images and soft labels alone.",
}


def register(app: typer.Typer) -> None:
    """Add the stage commands to `app`."""
    for name, text in STAGE_HELP.items():
        app.command(name, help=text, rich_help_panel=PANEL)(_command(name))


def _command(stage: str) -> Callable[..., None]:
    def command(
        arguments: Arguments = None,
        data: Data = None,
        preset: Preset = None,
        name: Name = None,
        output: Output = None,
        dry_run: DryRun = False,
    ) -> None:
        execute(settings_from(arguments, data, preset, name, output), stage, dry_run)

    return command
