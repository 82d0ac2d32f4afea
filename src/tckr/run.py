"""Run a pipeline into a run folder: resolved config, log, links into the store, report.

runs/<name>/config.yaml       the resolved settings; `tckr run runs/<name>` continues from it
runs/<name>/log.jsonl         one line per event
runs/<name>/artifacts/<step>  link to the artifact of each step
runs/<name>/report/           report.html and report.json
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tckr.config import Settings, save_settings
from tckr.engine.runner import Observer, Runner, Silent
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.pipeline import STAGES, needed_for, pipeline


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Where a finished run lies: its folder and the artifact folder of each step by name."""

    folder: Path
    artifacts: dict[str, Path]


def plan(settings: Settings, until: str = "report") -> list[Step]:
    """Return the steps that lead to stage `until`, in order.

    Raises:
        UserError: `until` is no stage.
    """
    if until not in STAGES:
        raise UserError(f"unknown stage {until!r}; expected one of {', '.join(STAGES)}")
    return needed_for(pipeline(settings.run_config()), until)


def run(settings: Settings, until: str = "report", observer: Observer | None = None) -> RunResult:
    """Compute what is missing up to stage `until` and return where it lies.

    A second call computes nothing; a call after a crash or a kill goes on where the first one ended.
    """
    steps = plan(settings, until)
    folder = settings.execution.folder
    save_settings(settings, folder / "config.yaml")
    store = Store(settings.execution.store)
    runner = Runner(store=store, execution=settings.execution, log_file=folder / "log.jsonl", observer=observer or Silent())
    runner.run(steps)
    artifacts = {step.name: store.folder(step) for step in steps}
    _link(folder / "artifacts", artifacts)
    if "report" in artifacts:
        _copy_report(artifacts["report"], folder / "report")
    return RunResult(folder=folder, artifacts=artifacts)


def _link(folder: Path, artifacts: dict[str, Path]) -> None:
    """Point `folder/<step>` at each artifact, replacing links of an earlier configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_symlink():
            old.unlink()
    for name, artifact in artifacts.items():
        (folder / name).symlink_to(os.path.relpath(artifact, folder), target_is_directory=True)


def _copy_report(artifact: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("report.html", "report.json"):
        shutil.copyfile(artifact / name, folder / name)


def missing(steps: Sequence[Step], store: Store) -> list[Step]:
    """Return the steps whose artifacts are not whole."""
    return [step for step in steps if not store.has(step)]
