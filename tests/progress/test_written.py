"""While a run is running, another process reads from its folder which process works there, and the progress."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tckr.engine.folders import Folder, Kind
from tckr.engine.observer import Silent
from tckr.engine.step import Role, Step
from tckr.progress.written import PROGRESS, ProgressFile, read_progress
from tests.engine.fakes import step

MANIFEST = {"seconds": 10.0, "peak_memory_mb": 7}


def steps() -> list[Step]:
    """Return three stages of the target, and a reference run of one."""
    other = replace(step("teach.1", stage="teach", run=1), role=Role.REFERENCE)
    return [*(step(name, stage=name) for name in ("prepare", "teach", "report")), other]


def test_stage_steps_and_time_left_are_read_from_the_folder_while_a_process_works_there(tmp_path: Path) -> None:
    prepare, teach, report, other = steps()
    folder = Folder(tmp_path / "run", Kind.RUN)
    with folder.held(), ProgressFile(folder.path, steps(), Silent()) as told:
        told.finished(prepare, MANIFEST, True)
        told.planned([teach, report, other], {"teach": 0.5, "teach.1": 0.5, "report": 1.0})
        told.finished(teach, MANIFEST, False)
        worker, progress = read_progress(folder.path) or ("", None)
        assert worker.startswith(f"process {os.getpid()} on ")
        assert progress is not None
        assert progress.sentence().startswith("stage 3 of 3 (report), 1 of 3 steps, ")
        left = " gone, at least 5.0 s left"  # half of the machine for 10 s; no report is finished
        assert progress.sentence().endswith(left)
    assert read_progress(folder.path) is None
    assert not (folder.path / PROGRESS).exists()


def test_a_step_at_work_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tckr.progress.written.SECONDS_BETWEEN", 0.0)
    folder = Folder(tmp_path / "run", Kind.RUN)
    with folder.held(), ProgressFile(folder.path, steps(), Silent()) as told:
        told.planned(steps(), {})
        with told.track("prepare", 300, "images") as advance:
            advance(20)
            _, progress = read_progress(folder.path) or ("", None)
    assert progress is not None
    assert progress.sentence().endswith("; now prepare 20/300 images")


def test_what_a_killed_run_left_behind_is_not_taken_for_one_at_work(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", Kind.RUN)
    with folder.held():
        told = ProgressFile(folder.path, steps(), Silent())
        told.planned(steps(), {})
    assert (folder.path / PROGRESS).exists()  # a killed process removes nothing
    assert read_progress(folder.path) is None


def test_what_a_killed_process_left_is_not_the_progress_of_the_next_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", Kind.RUN)
    with folder.held():
        ProgressFile(folder.path, steps(), Silent()).planned(steps(), {})
        worker, progress = read_progress(folder.path) or ("", None)
        assert progress is not None
        (folder.path / PROGRESS).write_text(progress.model_copy(update={"worker": "process 1 elsewhere"}).model_dump_json())
        assert read_progress(folder.path) == (worker, None)


def test_a_full_disk_stops_no_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    with ProgressFile(tmp_path, steps(), Silent()) as told:
        told.planned(steps(), {})
    assert not list(tmp_path.iterdir())
