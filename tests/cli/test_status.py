"""`tckr status`: which state a step is in, told without disturbing who works on it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tckr.cli.status import _print_work, read_plan
from tckr.config import Settings, load_settings
from tckr.engine import liveness
from tckr.engine.drafts import drafting
from tckr.engine.folders import Folder, Kind
from tckr.engine.observer import Silent
from tckr.engine.store import Store
from tckr.running import open_folder, plan


def settings_in(output: Path, *more: str) -> Settings:
    return load_settings(overrides=["prepare.source=digits", f"execution.output={output}", "execution.name=run", *more])


def test_a_step_is_started_while_a_process_is_at_work_and_interrupted_after_a_kill(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    step = plan(settings, "prepare", begins=True)[0]

    def state() -> str:
        return read_plan(settings, "prepare")["steps"][0]["state"]

    assert state() == "missing"
    with drafting(Store(settings.execution.store).folder(step), lambda: False):
        assert state() == "started"
    assert state() == "interrupted"
    with Folder(settings.execution.folder, Kind.RUN, print).held():  # the run goes on, and has not come to this step again
        assert state() == "started"


def test_looking_disturbs_no_writer_on_a_machine_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mark looks dead after minutes without an update; only who wants to write instead may remove it."""
    settings = settings_in(tmp_path)
    step = plan(settings, "prepare", begins=True)[0]
    monkeypatch.setattr(liveness, "_now", pytest.fail)  # which writes a file, as a read-only disk would not let it
    with drafting(Store(settings.execution.store).folder(step), lambda: False) as draft:
        draft.mark.path.write_text(json.dumps(json.loads(draft.mark.path.read_text()) | {"system": "another"}))
        assert read_plan(settings, "prepare")["steps"][0]["state"] == "started"
        long_ago = time.time() - 2 * liveness.LEASE_SECONDS
        os.utime(draft.mark.path, (long_ago, long_ago))
        assert read_plan(settings, "prepare")["steps"][0]["state"] == "interrupted"
        assert draft.mark.is_there()


def filled(settings: Settings, *names: str) -> None:
    """Fill the artifacts of these steps with an empty file, and link them."""
    steps, store = plan(settings, begins=True), Store(settings.execution.store)
    for step in steps:
        if step.name in names:
            with store.filling(step, {"computed_on": {}, "became": {}}) as draft:
                (draft.out / "file").touch()
    open_folder(settings, steps, Silent())


def states(settings: Settings) -> dict[str, str]:
    return {row["name"]: row["state"] for row in read_plan(settings)["steps"]}


def test_a_group_that_is_complete_in_part_is_interrupted_only_where_a_step_was_begun(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "audit.num_reference_runs=2")
    filled(settings, "teach.1")
    group = next(name for name in states(settings) if name.startswith("teach x "))
    assert states(settings)[group] == "partial"
    second = next(step for step in plan(settings) if step.name == "teach.2")
    with drafting(Store(settings.execution.store).folder(second), lambda: False):
        assert states(settings)[group] == "started"
    assert states(settings)[group] == "interrupted"
    assert states(settings)["adapt"] == "missing"


def test_a_variant_goes_on_while_its_sweep_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Folder(tmp_path / "sweep", Kind.SWEEP, print).held():
        settings = settings_in(tmp_path / "sweep")
        step = plan(settings, "prepare", begins=True)[0]
        with drafting(Store(settings.execution.store).folder(step), lambda: False):
            pass  # a call that was killed
        assert states(settings)["prepare"] == "started"
        _print_work(settings.execution.folder)
    assert f"at work  process {os.getpid()} on " in capsys.readouterr().out
    assert states(settings)["prepare"] == "interrupted"
    _print_work(settings.execution.folder)
    assert not capsys.readouterr().out


def test_only_links_of_a_run_are_outdated_and_not_the_files_of_a_copy(tmp_path: Path) -> None:
    filled(settings_in(tmp_path / "runs"), "caption")
    assert read_plan(settings_in(tmp_path / "runs", "seed=5"))["outdated"] == ["caption"]
    shutil.copytree(tmp_path / "runs" / "run", tmp_path / "copy" / "run")
    assert read_plan(settings_in(tmp_path / "copy"))["outdated"] == []
