"""`tckr.run`: run the pipeline with keyword settings and return its result."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tckr.api.progress import Lines, Warnings
from tckr.api.result import Result
from tckr.config import Settings, load_settings, run_name
from tckr.errors import UserError, shown
from tckr.running import run as run_pipeline

Section = Mapping[str, Any]
"""Settings of one stage by name; docs/settings.md lists them."""

DEFAULTS: Section = MappingProxyType({})
SECTIONS = (
    "privacy",
    "prepare",
    "caption",
    "adapt",
    "generate",
    "teach",
    "label",
    "distill",
    "audit",
    "report",
    "execution",
)


def run(
    data: Path | str | None = None,
    *,
    config: Path | str | None = None,
    preset: str | None = None,
    name: str | None = None,
    output: Path | str | None = None,
    until: str = "report",
    verify: bool = False,
    progress: bool = True,
    seed: int | None = None,
    privacy: Section = DEFAULTS,
    prepare: Section = DEFAULTS,
    caption: Section = DEFAULTS,
    adapt: Section = DEFAULTS,
    generate: Section = DEFAULTS,
    teach: Section = DEFAULTS,
    label: Section = DEFAULTS,
    distill: Section = DEFAULTS,
    audit: Section = DEFAULTS,
    report: Section = DEFAULTS,
    execution: Section = DEFAULTS,
) -> Result:
    """Run the pipeline, like the command `tckr run`. Complete steps are not computed again; a killed run continues.

    Independent steps run in processes that import the calling script, so a script must call this below
    `if __name__ == "__main__":`. A notebook does not need this line.

    Args:
        data: a folder CLASS_NAME/*.png|jpg|webp..., a Parquet file, a Hugging Face data set, or `digits`.
        config: a YAML file, or the folder of an earlier run; its settings are changed by those below.
        preset: settings to start from: embedded, demo, small_photos, dp or paper.
        name: name of the run's folder; by default taken from `config` or `data`.
        output: folder for runs and the artifact store; by default `runs`.
        until: stop after this stage: prepare, caption, adapt, generate, teach, label, distill, audit or report.
        verify: read all data files again; this finds changes that kept a file's size and time.
        progress: write a line to standard error for each finished step.
        seed: root seed, 0 to 2^63 - 1; with the secret of the store, the origin of all random numbers.
        privacy: budget of a formal guarantee; here and below, a mapping of settings by name.
        prepare: reading and splitting the data.
        caption: captioner of the images.
        adapt: adaptation of the generator.
        generate: number of images and sampling, e.g. `{"cardinality": 5}`.
        teach: training of the Teacher.
        label: soft labels.
        distill: training of the Student.
        audit: attacks and reference runs.
        report: content of the report.
        execution: devices, paths and speed; does not change results.

    Raises:
        UserError: invalid settings or data, a full disk, or another problem that you can fix; the message states how.
    """
    sections = (privacy, prepare, caption, adapt, generate, teach, label, distill, audit, report, execution)
    chosen = {"prepare.source": data, "execution.name": name, "execution.output": output, "seed": seed}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    settings = read_settings(config, preset, dict(zip(SECTIONS, sections, strict=True)), chosen)
    done = run_pipeline(settings, until, Lines() if progress else Warnings(), verify=verify)
    return Result(folder=done.folder, artifacts=done.artifacts)


def read_settings(
    config: Path | str | None, preset: str | None, sections: Mapping[str, Any], chosen: Mapping[str, Any]
) -> Settings:
    """Return the settings given by keywords; `chosen` contains those with a keyword of their own, by their full name.

    Raises:
        UserError: no data, an unknown setting, or a value outside its range.
    """
    source = chosen.get("prepare.source")
    _refuse_no_data(config, preset, source, sections["prepare"])
    given = {name: _plain(values) for name, values in sections.items() if values != DEFAULTS}
    options = given | {name: _plain(value) for name, value in chosen.items()}
    file, implied = _read_from(config, source)
    execution = sections["execution"] if isinstance(sections["execution"], Mapping) else {}
    free = {name: value for name, value in implied.items() if name.partition(".")[2] not in execution}
    return load_settings(file, preset, options=free | options)


def _refuse_no_data(config: Path | str | None, preset: str | None, source: Any, prepare: Any) -> None:
    if config is None and source is None and preset != "demo" and not (isinstance(prepare, Mapping) and "source" in prepare):
        raise UserError(
            'nothing to work on; give tckr.run("path/to/folder") (one subfolder of images per class), config=FILE, or '
            'preset="demo"'
        )
    if source is not None and (Path(source) / "config.yaml").is_file():
        raise UserError(f"{shown(source)} is the folder of a run; continue it with tckr.run(config={str(source)!r})")


def _read_from(config: Path | str | None, source: Any) -> tuple[Path | None, dict[str, str]]:
    """Return the file to start from, and the name and place of the run derived from it or from the data."""
    if config is None:
        return None, {} if source is None else {"execution.name": run_name(Path(source).resolve().name)}
    path = Path(config)
    if not path.is_dir():
        return path, {}
    if not (path / "config.yaml").is_file():
        raise UserError(
            f"{shown(path)} is not a run folder (it has no config.yaml); a folder of images is given as the first argument"
        )
    place = path.absolute()
    return path / "config.yaml", {"execution.output": str(place.parent), "execution.name": place.name}


def _plain(value: Any) -> Any:
    """Return `value` as in a configuration file: texts for paths, lists for tuples, Python numbers for numpy's."""
    match value:
        case Mapping():
            return {key: _plain(inside) for key, inside in value.items()}
        case list() | tuple():
            return [_plain(inside) for inside in value]
        case Path():
            return str(value)
        case bool():
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case _:
            return value
