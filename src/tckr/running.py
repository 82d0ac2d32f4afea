"""Run a pipeline into a run folder: resolved config, log, links into the store, report.

runs/<name>/config.yaml       the resolved settings; `tckr run runs/<name>` continues from it
runs/<name>/log.jsonl         one line per event
runs/<name>/artifacts/<step>  link to the artifact of each step that is whole
runs/<name>/report/           report.html and report.json, while they belong to these settings; until the audit is done a
                              report.html of the first result
runs/<name>/.tckr.json        what of this TCKR wrote and may replace (`tckr.engine.folders`)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tckr.config import Settings, absolute_source, saved_source, settings_text
from tckr.data.sources.digests import load_digests, save_digests, verify_source
from tckr.disk import explained
from tckr.engine.file_system import require_sound
from tckr.engine.folders import Folder, Kind, copy_fill, link_fill, read_marker, text_fill
from tckr.engine.observer import Observer, Silent
from tckr.engine.places import check_places
from tckr.engine.runner import Runner
from tckr.engine.secret import with_secret
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.engine.tracking import require_trackers
from tckr.errors import UserError
from tckr.first.showing import Showing, with_first_result
from tckr.models.needed import refuse_missing
from tckr.pipeline import needed_for, pipeline
from tckr.progress.written import ProgressFile
from tckr.stages.config_base import StageConfig

REPORT_FILES = ("report.html", "report.json")


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
    load_digests(settings.execution.store)
    return with_secret(settings.execution.store, partial(_planned, settings, until), begins=begins)[1]


def _planned(settings: Settings, until: str, secret: bytes) -> tuple[list[Step], list[Step]]:
    """Return all steps of a run, and those of them that lead to stage `until`."""
    everything = pipeline(settings.run_config(), secret)
    return everything, needed_for(everything, until)


def run(settings: Settings, until: str = "report", observer: Observer | None = None, *, verify: bool = False) -> RunResult:
    """Compute what is missing up to stage `until` and return where it lies.

    A second call computes nothing; a call after a crash or a kill goes on where the first one ended. Independent steps run
    in processes that import the calling script, so a script calls this below `if __name__ == "__main__":`.

    With `verify` all files of the data are read again, and what follows from a changed one is computed anew: without it, a
    change that leaves size and modification time as they were goes unnoticed.

    Only files that TCKR wrote are replaced or removed; all that it writes is readable by the owner alone.

    Raises:
        UserError: settings or data that do not hold, a folder that is no run of these data or in which another process
            works, an artifact that is not what was written, or a disk that is full or refuses to write.
    """
    refuse_places(settings)
    observer = observer or Silent()
    load_digests(settings.execution.store)
    if verify and not verify_source(settings.prepare):
        observer.warned("the data have changed, although their sizes and times are the same: computing anew")
    everything, steps = with_secret(settings.execution.store, partial(_planned, settings, until), begins=True)
    store, folder = Store(settings.execution.store), run_folder(settings, observer)
    refuse_missing_models(steps, store)
    require_trackers(settings.execution.trackers)
    with explained(folder.path), _held(folder):
        require_sound(settings.execution.store)
        open_folder(settings, everything, observer)
        save_digests(settings.execution.store)
        log_file = folder.log_file()
        made = with_first_result(steps, settings.audit.confidence)
        showing = Showing(folder, made, store, observer)
        with ProgressFile(folder.path, made, showing) as told:
            Runner(store=store, execution=settings.execution, log_file=log_file, observer=told, target_first=True).run(made)
        publish(folder, everything, store)
    return RunResult(folder=folder.path, artifacts={step.name: store.folder(step) for step in steps})


def refuse_places(settings: Settings, kind: Kind = Kind.RUN) -> None:
    """Raise a UserError when the settings would let TCKR write over their data or into what is no run; write nothing."""
    source = settings.prepare.source
    is_path = source != "digits" and os.path.exists(source)  # noqa: PTH110 - never raises, whatever a user wrote
    check_places(settings.execution, kind, Path(source) if is_path else None)


def refuse_missing_models(steps: Iterable[Step], store: Store) -> None:
    """Raise a UserError when a step that is to be made names a model that is neither here nor on the hub."""
    configs = [step.config for step in steps if not store.has(step)]
    refuse_missing(one for config in configs if isinstance(config, StageConfig) for one in config.checkpoints())


def run_folder(settings: Settings, observer: Observer) -> Folder:
    """Return the folder of a run."""
    return Folder(settings.execution.folder, Kind.RUN, observer.warned)


@contextmanager
def _held(folder: Folder) -> Iterator[None]:
    """Keep the run's folder for this process; a variant of a sweep also keeps away another call of that sweep."""
    sweep = Folder(folder.path.parent, Kind.SWEEP)
    marker = read_marker(sweep.path)
    with sweep.joined() if marker and marker.kind is Kind.SWEEP else nullcontext(), folder.held():
        yield


def open_folder(settings: Settings, steps: Sequence[Step], observer: Observer) -> None:
    """Make or take over the run's folder: its config, and links to what of `steps` is whole.

    Raises:
        UserError: the folder belongs to other data, or to nobody that TCKR knows.
    """
    folder, store = run_folder(settings, observer), Store(settings.execution.store)
    folder.check()
    _refuse_other_run(settings)
    store.make()
    folder.put({"config.yaml": text_fill(settings_text(settings))})
    publish(folder, steps, store)


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


def publish(folder: Folder, steps: Sequence[Step], store: Store) -> None:
    """Let the run's folder show exactly what is whole for its settings; a report that was changed is not shown."""
    whole = {step.name: store.folder(step) for step in steps if store.has(step)}
    links = {name: os.path.relpath(artifact, folder.path / "artifacts") for name, artifact in whole.items()}
    shown = {f"artifacts/{name}": link_fill(target) for name, target in links.items()}
    if any(step.name == "report" and not store.damage(step) for step in steps if step.name in whole):
        shown |= {f"report/{name}": copy_fill(whole["report"] / name) for name in REPORT_FILES}
    folder.put(shown, only=("artifacts/", "report/"))
