"""Arguments that several commands share, and their conversion into settings."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tckr.cli.completing import complete_preset, complete_setting
from tckr.cli.newest import newest_run
from tckr.errors import UserError, shown

if TYPE_CHECKING:
    from tckr.config import Settings

ARGUMENTS_METAVAR = "[CONFIG] [KEY=VALUE]..."
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar=ARGUMENTS_METAVAR,
        help="A YAML file or the folder of an earlier run, followed by settings to change, e.g. generate.cardinality=5.",
        autocompletion=complete_setting,
    ),
]
RunArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN] [KEY=VALUE]...",
        help="The folder of a run or a YAML file, followed by settings to change, e.g. audit.depth=full.",
        show_default="the newest run",
        autocompletion=complete_setting,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="Your images: a folder CLASS_NAME/*.png|jpg|webp..., a Parquet file, a Hugging Face data set, or `digits`.",
        show_default=False,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="Preset to start from: embedded, demo, small_photos, dp or paper.",
        show_default="CONFIG's, or embedded",
        autocompletion=complete_preset,
    ),
]
Name = Annotated[
    str | None, typer.Option(help="Name of the run's folder.", show_default="from CONFIG, or the last part of --data")
]
Output = Annotated[Path | None, typer.Option(help="Folder for runs and the artifact store.", show_default="runs")]
Json = Annotated[bool, typer.Option("--json", help="Print only the result to standard output, as JSON; for scripts.")]

OPTIONS = {"data": "prepare.source", "name": "execution.name", "output": "execution.output"}
"""Option -> the setting that it changes."""


def settings_from(
    arguments: list[str] | None, data: str | None, preset: str | None, name: str | None, output: Path | None
) -> Settings:
    """Return the settings that the shared arguments describe.

    Raises:
        UserError: both or none of CONFIG and --data are given, or a setting is invalid.
    """
    return read_arguments(arguments, data, preset, name, output)[0]


def settings_of_run(
    arguments: list[str] | None, data: str | None, preset: str | None, name: str | None, output: Path | None
) -> Settings:
    """Return the settings that the shared arguments describe; without data and run, those of the newest run.

    Raises:
        UserError: there is no run, or a setting is invalid.
    """
    from tckr.overrides import names_given

    config, overrides = _split(arguments or [])
    if config is None and data is None and preset is None and "prepare.source" not in names_given(overrides):
        return settings_from([str(newest_run(output, name)), *overrides], None, None, None, None)
    return settings_from(arguments, data, preset, name, output)


def read_arguments(
    arguments: list[str] | None,
    data: str | None,
    preset: str | None,
    name: str | None,
    output: Path | None,
    *,
    sweep: str = "",
) -> tuple[Settings, Path | None]:
    """Return the settings that the shared arguments describe, and the YAML file that they start from, if any.

    `sweep` is the name of the file in a sweep's folder, for commands that accept such a folder; this file may have a section
    `sweep`.

    Raises:
        UserError: both or none of CONFIG and --data are given, or a setting is invalid.
    """
    from tckr.config import load_settings, run_name
    from tckr.overrides import names_given

    config, overrides = _split(arguments or [])
    given = names_given(overrides)
    if config is None and data is None and "prepare.source" not in given and preset != "demo":
        raise UserError(
            "nothing to work on; give --data FOLDER (one subfolder of images per class), a CONFIG file or the folder of an "
            "earlier run, or try `tckr demo`"
        )
    options = chosen_options(given, data=data, name=name, output=output)
    followed = {"execution.name": run_name(_last_name(data))} if config is None and data else {}
    if config is not None and config.is_dir():
        if preset is not None:
            raise UserError(
                f"found --preset {shown(preset)} with {shown(config)}, which already contains every setting; remove --preset"
            )
        if not sweep:
            check_run_folder(config, otherwise="; a folder of images is given with --data FOLDER")
        config, followed = config / (sweep or "config.yaml"), _place(config)
    options = {setting: value for setting, value in followed.items() if setting not in given} | options
    return load_settings(config, preset, overrides, options=options, sweep=bool(sweep)), config


def chosen_options(
    given: Collection[str], *, data: str | None = None, name: str | None = None, output: Path | None = None
) -> dict[str, str]:
    """Return the settings that the options stand for, by name.

    Raises:
        UserError: one of them is also `given` as key=value.
    """
    found = {"data": data, "name": name or None, "output": None if output is None else str(output)}
    chosen = {option: value for option, value in found.items() if value is not None}
    if twice := [option for option in chosen if OPTIONS[option] in given]:
        raise UserError(f"found --{twice[0]} and {OPTIONS[twice[0]]}=...; remove one of them")
    return {OPTIONS[option]: value for option, value in chosen.items()}


def check_run_folder(folder: Path, otherwise: str = "") -> None:
    """Raise a UserError if `folder` is not a run's folder; if it contains runs, name one of them."""
    if not (folder / "config.yaml").is_file():
        runs = sorted(path.parent for path in folder.glob("*/config.yaml"))
        found = f"it contains runs, e.g. {shown(runs[0])}" if runs else "expected e.g. runs/demo"
        raise UserError(f"{shown(folder)} is not a run folder (it has no config.yaml); {found}{otherwise}")


def _last_name(data: str) -> str:
    """Return the last part of a path or hub name; for `.` and `..`, the name of the folder that they refer to."""
    name = Path(data).name
    return Path(data).resolve().name if name in ("", "..") else name


def _split(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Return the one CONFIG among the arguments, if any, and the overrides."""
    configs = [text for text in arguments if "=" not in text or os.path.exists(text)]  # noqa: PTH110 - never raises
    if len(configs) > 1:
        raise UserError(f"found several configs: {', '.join(map(shown, configs[:5]))}; give one, and settings as key=value")
    overrides = [text for text in arguments if text not in configs]
    if not configs:
        return None, overrides
    return Path(configs[0]), overrides


def _place(folder: Path) -> dict[str, str]:
    """Return the settings that keep a run in the folder where it is now, whatever its config states."""
    folder = folder.absolute()
    return {"execution.output": str(folder.parent), "execution.name": folder.name}
