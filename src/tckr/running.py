"""Run a pipeline into a run folder: resolved config, log, links into the store, report.

runs/<name>/config.yaml       the resolved settings; `tckr run runs/<name>` continues from it
runs/<name>/log.jsonl         one line per event
runs/<name>/artifacts/<step>  link to the artifact of each complete step
runs/<name>/report/           report.html and report.json of the current settings; until the audit is finished, a
                              report.html with the first result
runs/<name>/.tckr.json        list of files that TCKR wrote and may replace (`tckr.engine.folders`)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tckr.artifacts.guarantee import SPENT_AGAIN
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

WITH_NOISE = ("adapt", "votes", "dp_teacher")
"""Steps that spend the budget of a formal guarantee. Their noise follows from their fingerprint."""

REPORT_FILES = ("report.html", "report.json")


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished run: its folder, and the artifact folder of each computed step by name."""

    folder: Path
    artifacts: dict[str, Path]


def plan(settings: Settings, until: str = "report", *, begins: bool = False) -> list[Step]:
    """Return the steps up to stage `until`, in order.

    With `begins`, the plan is for a run that starts now: a store without a secret gets one. Otherwise nothing is written,
    and in such a store no step of the plan can be complete.

    Raises:
        UserError: `until` is not a stage, or the data source does not exist.
    """
    load_digests(settings.execution.store)
    return with_secret(settings.execution.store, partial(_planned, settings, until), begins=begins)[1]


def _planned(settings: Settings, until: str, secret: bytes) -> tuple[list[Step], list[Step]]:
    """Return all steps of a run, and those up to stage `until`."""
    everything = pipeline(settings.run_config(), secret)
    return everything, needed_for(everything, until)


def run(settings: Settings, until: str = "report", observer: Observer | None = None, *, verify: bool = False) -> RunResult:
    """Compute the missing steps up to stage `until` and return the finished run.

    A second call computes nothing; a call after a crash or a kill continues where the first one stopped. Independent steps
    run in processes that import the calling script, so a script must call this below `if __name__ == "__main__":`.

    With `verify`, all data files are read again, and everything that depends on a changed file is computed again. Without
    it, a change that keeps size and modification time is not noticed.

    Only files that TCKR wrote are replaced or removed. Files that it writes are readable only by their owner.

    Raises:
        UserError: a setting or the data are invalid, the folder belongs to another run or is in use by another process, an
            artifact is damaged, or the disk is full or refuses to write.
    """
    refuse_places(settings)
    observer = observer or Silent()
    load_digests(settings.execution.store)
    if verify and not verify_source(settings.prepare):
        observer.warned("the data changed, although file sizes and times are the same: computing again")
    everything, steps = with_secret(settings.execution.store, partial(_planned, settings, until), begins=True)
    store, folder = Store(settings.execution.store), run_folder(settings, observer)
    refuse_missing_models(steps, store)
    require_trackers(settings.execution.trackers)
    if spends_again(settings, steps):
        observer.warned(f"settings, data or TCKR itself changed since this run was made; {SPENT_AGAIN}")
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


def spends_again(settings: Settings, steps: Iterable[Step]) -> bool:
    """Return whether a run with a formal guarantee would compute again, with other noise, what its folder links to."""
    store, links = Store(settings.execution.store), settings.execution.folder / "artifacts"
    noisy = [step for step in steps if step.name in WITH_NOISE and (links / step.name).is_symlink()]
    other = (step for step in noisy if (links / step.name).readlink().name != store.folder(step).name)
    return settings.privacy.is_on and not all(map(store.has, other))


def refuse_places(settings: Settings, kind: Kind = Kind.RUN) -> None:
    """Raise a UserError if TCKR would overwrite the data or write into a folder that is not a run's; write nothing."""
    source = settings.prepare.source
    is_path = source != "digits" and os.path.exists(source)  # noqa: PTH110 - never raises, whatever a user wrote
    check_places(settings.execution, kind, Path(source) if is_path else None)


def refuse_missing_models(steps: Iterable[Step], store: Store) -> None:
    """Raise a UserError if a step to be computed names a model that is neither on this machine nor on the hub."""
    configs = [step.config for step in steps if not store.has(step)]
    refuse_missing(one for config in configs if isinstance(config, StageConfig) for one in config.checkpoints())


def run_folder(settings: Settings, observer: Observer) -> Folder:
    """Return the folder of a run."""
    return Folder(settings.execution.folder, Kind.RUN, observer.warned)


@contextmanager
def _held(folder: Folder) -> Iterator[None]:
    """Reserve the run's folder for this process; for a variant of a sweep, also block other calls of that sweep."""
    sweep = Folder(folder.path.parent, Kind.SWEEP)
    marker = read_marker(sweep.path)
    with sweep.joined() if marker and marker.kind is Kind.SWEEP else nullcontext(), folder.held():
        yield


def open_folder(settings: Settings, steps: Sequence[Step], observer: Observer) -> None:
    """Create or reuse the run's folder: write its config, and link the complete artifacts of `steps`.

    Raises:
        UserError: the folder belongs to other data, or was not made by TCKR.
    """
    folder, store = run_folder(settings, observer), Store(settings.execution.store)
    folder.check()
    _refuse_other_run(settings)
    store.make()
    folder.put({"config.yaml": text_fill(settings_text(settings))})
    publish(folder, steps, store)


def _refuse_other_run(settings: Settings) -> None:
    """Raise a UserError if the run's folder was made from another data source, or is a copy without links."""
    folder = settings.execution.folder
    source = saved_source(folder / "config.yaml")
    if source is not None and source != absolute_source(settings.prepare.source):
        raise UserError(
            f"{folder} contains a run on {source}; found prepare.source {settings.prepare.source}; give another --name "
            "or remove that folder"
        )
    for path in (folder / "artifacts").glob("*"):
        if not path.is_symlink():
            raise UserError(
                f"{path} is not a link into {settings.execution.store}, so {folder} is a copy of a run; remove "
                f"{folder / 'artifacts'}, or copy the complete output folder with `cp -a`"
            )


def publish(folder: Folder, steps: Sequence[Step], store: Store) -> None:
    """Link exactly the artifacts that are complete for the run's settings; a report that was changed is not shown."""
    whole = {step.name: store.folder(step) for step in steps if store.has(step)}
    links = {name: os.path.relpath(artifact, folder.path / "artifacts") for name, artifact in whole.items()}
    shown = {f"artifacts/{name}": link_fill(target) for name, target in links.items()}
    if any(step.name == "report" and not store.damage(step) for step in steps if step.name in whole):
        shown |= {f"report/{name}": copy_fill(whole["report"] / name) for name in REPORT_FILES}
    folder.put(shown, only=("artifacts/", "report/"))
