"""Run a pipeline into a run folder: resolved config, log, links into the store, report.

runs/<name>/config.yaml       the resolved settings; `tckr run runs/<name>` continues from it
runs/<name>/log.jsonl         one line per event
runs/<name>/artifacts/<step>  link to the artifact of each step that is whole
runs/<name>/report/           report.html and report.json, while they belong to these settings
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tckr.config import Settings, absolute_source, save_settings, saved_source
from tckr.disk import explained
from tckr.engine.observer import Observer, Silent
from tckr.engine.runner import Runner
from tckr.engine.secret import with_secret
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.pipeline import needed_for, pipeline


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Where a finished run lies: its folder and the artifact folder of each computed step by name."""

    folder: Path
    artifacts: dict[str, Path]


def plan(settings: Settings, until: str = "report", *, begins: bool = False) -> list[Step]:
    """Return the steps that lead to stage `until`, in order.

    With `begins` it is the plan of a run that is to be made now: a store without a secret gets one. Otherwise nothing is
    written; in such a store nothing of the plan can be whole.

    Raises:
        UserError: `until` is no stage, or the data source does not exist.
    """
    return with_secret(settings.execution.store, partial(_planned, settings, until), begins=begins)[1]


def _planned(settings: Settings, until: str, secret: bytes) -> tuple[list[Step], list[Step]]:
    """Return all steps of a run, and those of them that lead to stage `until`."""
    everything = pipeline(settings.run_config(), secret)
    return everything, needed_for(everything, until)


def run(settings: Settings, until: str = "report", observer: Observer | None = None) -> RunResult:
    """Compute what is missing up to stage `until` and return where it lies.

    A second call computes nothing; a call after a crash or a kill goes on where the first one ended. Independent steps run
    in processes that import the calling script, so a script calls this below `if __name__ == "__main__":`.

    Raises:
        UserError: settings or data that do not hold, a run folder that belongs to other data, an artifact that is not what
            was written, or a disk that is full or refuses to write.
    """
    everything, steps = with_secret(settings.execution.store, partial(_planned, settings, until), begins=True)
    folder = settings.execution.folder
    store = Store(settings.execution.store)
    with explained(folder):
        open_folder(settings, everything)
    runner = Runner(store=store, execution=settings.execution, log_file=folder / "log.jsonl", observer=observer or Silent())
    with explained(folder):
        runner.run(steps)
        publish(folder, everything, store)
    return RunResult(folder=folder, artifacts={step.name: store.folder(step) for step in steps})


def open_folder(settings: Settings, steps: Sequence[Step]) -> None:
    """Make or take over the run's folder: its config, and links to what of `steps` is whole.

    Raises:
        UserError: the folder belongs to other data.
    """
    _refuse_other_run(settings)
    save_settings(settings, settings.execution.folder / "config.yaml")
    publish(settings.execution.folder, steps, Store(settings.execution.store))


def _refuse_other_run(settings: Settings) -> None:
    """Raise when the run's folder was made from another data source, or is a copy without links."""
    folder = settings.execution.folder
    source = saved_source(folder / "config.yaml")
    if source is not None and source != absolute_source(settings.prepare.source):
        raise UserError(
            f"{folder} holds a run on {source}; found prepare.source {settings.prepare.source}; give another --name, "
            "or remove that folder"
        )
    for path in (folder / "artifacts").glob("*"):
        if not path.is_symlink():
            raise UserError(
                f"{path} is no link into {settings.execution.store}, so {folder} is a copy of a run; remove "
                f"{folder / 'artifacts'}, or copy all of the output folder with `cp -a`"
            )


def publish(folder: Path, steps: Sequence[Step], store: Store) -> None:
    """Let the run's folder show exactly what is whole for its settings; a report that was changed is not shown."""
    whole = {step.name: store.folder(step) for step in steps if store.has(step)}
    _link(folder / "artifacts", whole)
    shutil.rmtree(folder / "report", ignore_errors=True)
    if any(step.name == "report" and not store.damage(step) for step in steps if step.name in whole):
        _copy_report(whole["report"], folder / "report")


def _link(folder: Path, artifacts: dict[str, Path]) -> None:
    """Point `folder/<step>` at each artifact, replacing links of an earlier configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, artifact in artifacts.items():
        (folder / name).symlink_to(os.path.relpath(artifact, folder), target_is_directory=True)


def _copy_report(artifact: Path, folder: Path) -> None:
    folder.mkdir()
    for name in ("report.html", "report.json"):
        shutil.copyfile(artifact / name, folder / name)
