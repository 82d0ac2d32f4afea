"""Arguments that several commands share, turned into settings."""

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
        help="A YAML file or the folder of an earlier run, then settings to change, e.g. generate.cardinality=5.",
        autocompletion=complete_setting,
    ),
]
RunArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN] [KEY=VALUE]...",
        help="The folder of a run, or a YAML file, then settings to change, e.g. audit.depth=full.",
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
        help="Where settings start from: embedded, demo, small_photos or paper.",
        show_default="CONFIG's, or embedded",
        autocompletion=complete_preset,
    ),
]
Name = Annotated[
    str | None, typer.Option(help="Name of the run's folder.", show_default="that of CONFIG or of the last part of --data")
]
Output = Annotated[Path | None, typer.Option(help="Folder for runs and the artifact store.", show_default="runs")]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON to standard output, and nothing else there; for scripts.")
]

OPTIONS = {"data": "prepare.source", "name": "execution.name", "output": "execution.output"}
"""Option -> the setting that it stands for."""


def settings_from(
    arguments: list[str] | None, data: str | None, preset: str | None, name: str | None, output: Path | None
) -> Settings:
    """Return the settings that the shared arguments describe.

    Raises:
        UserError: neither or both of CONFIG and --data, or settings that do not hold.
    """
    return read_arguments(arguments, data, preset, name, output)[0]


def settings_of_run(
    arguments: list[str] | None, data: str | None, preset: str | None, name: str | None, output: Path | None
) -> Settings:
    """Return the settings that the shared arguments describe; where they name no data and no run, those of the newest run.

    Raises:
        UserError: there is no run, or settings do not hold.
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

    `sweep` is the name of the file that the folder of a sweep holds, for the command that may be given one; its file may
    have a section `sweep`.

    Raises:
        UserError: neither or both of CONFIG and --data, or settings that do not hold.
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
                f"found --preset {shown(preset)} with {shown(config)}, which holds every setting already; drop --preset"
            )
        if not sweep:
            check_run_folder(config, otherwise="; a folder of images is given with --data FOLDER")
        config, followed = config / (sweep or "config.yaml"), _place(config)
    options = {setting: value for setting, value in followed.items() if setting not in given} | options
    return load_settings(config, preset, overrides, options=options, sweep=bool(sweep)), config


def chosen_options(
    given: Collection[str], *, data: str | None = None, name: str | None = None, output: Path | None = None
) -> dict[str, str]:
    """Return the settings that options stand for, by name.

    Raises:
        UserError: one is among the settings `given` as key=value too.
    """
    found = {"data": data, "name": name or None, "output": None if output is None else str(output)}
    chosen = {option: value for option, value in found.items() if value is not None}
    if twice := [option for option in chosen if OPTIONS[option] in given]:
        raise UserError(f"found --{twice[0]} and {OPTIONS[twice[0]]}=...; drop one of them")
    return {OPTIONS[option]: value for option, value in chosen.items()}


def check_run_folder(folder: Path, otherwise: str = "") -> None:
    """Raise a UserError when `folder` is not that of a run; one that holds runs is named with one of them."""
    if not (folder / "config.yaml").is_file():
        runs = sorted(path.parent for path in folder.glob("*/config.yaml"))
        found = f"it holds runs, e.g. {shown(runs[0])}" if runs else "expected e.g. runs/demo"
        raise UserError(f"{shown(folder)} is no run folder (it has no config.yaml); {found}{otherwise}")


def _last_name(data: str) -> str:
    """Return the last name of a path or hub name; `.` and `..` have the name of the folder they stand for."""
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
    """Return the settings that keep a run where its folder lies now, whatever its config says."""
    folder = folder.absolute()
    return {"execution.output": str(folder.parent), "execution.name": folder.name}
