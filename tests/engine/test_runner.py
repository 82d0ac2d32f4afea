"""What is complete is never computed again; a killed step continues; a changed step is computed with all that follows.

How steps that run at once fare together is in test_ready_queue.py.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tckr import process as process_module
from tckr.engine import runner as runner_module
from tckr.engine.drafts import WRITER, work_folder
from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import local as local_module
from tckr.engine.executors.local import LocalExecutor
from tckr.engine.liveness import marks_at
from tckr.engine.observer import Silent
from tckr.engine.runner import Runner
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.errors import UserError
from tests.engine.fakes import FakeConfig, step
from tests.engine.processes import start_process


def runner(folder: Path, workers: int = 1) -> Runner:
    return Runner(
        store=Store(folder / "store"),
        execution=ExecutionConfig(output=folder, device="cpu", workers=workers),
        log_file=folder / "log.jsonl",
    )


def chain(folder: Path, value: int = 1, mode: str = "write"):
    journal = str(folder / "journal.txt")
    first = step("first", FakeConfig(journal=journal))
    second = step("second", FakeConfig(value=value, mode=mode, journal=journal), source=first)
    return [first, second, step("third", FakeConfig(journal=journal), source=second)]


def journal(folder: Path) -> int:
    return len((folder / "journal.txt").read_text().splitlines())


@pytest.mark.parametrize(
    ("damage", "said"), [(Path.unlink, "is missing"), (lambda path: path.write_bytes(b""), "has 0 bytes")]
)
def test_a_damaged_artifact_is_named_and_computed_anew_when_deleted(tmp_path, damage, said):
    steps = chain(tmp_path)
    runner(tmp_path).run(steps)
    folder = Store(tmp_path / "store").folder(steps[1])
    file = next(path for path in sorted(folder.iterdir()) if path.name != "manifest.json" and path.stat().st_size)
    damage(file)
    with pytest.raises(UserError, match=rf"{file.name} {said}; expected .* delete {folder}; the same command"):
        runner(tmp_path).run(steps)
    shutil.rmtree(folder)
    runner(tmp_path).run(steps)
    assert file.stat().st_size


def test_damage_is_found_before_anything_is_computed(tmp_path):
    runner(tmp_path).run(chain(tmp_path)[:2])
    before = journal(tmp_path)
    steps = chain(tmp_path)
    for file in Store(tmp_path / "store").folder(steps[1]).iterdir():
        if file.name != "manifest.json":
            file.unlink()
    other = step("other", FakeConfig(value=9, journal=str(tmp_path / "journal.txt")))
    with pytest.raises(UserError, match="is missing"):
        replace(runner(tmp_path), keep_going=True).run([other, *steps])
    assert journal(tmp_path) == before


def test_a_second_run_computes_nothing(tmp_path):
    runner(tmp_path).run(chain(tmp_path))
    before = journal(tmp_path)
    runner(tmp_path).run(chain(tmp_path))
    assert before == 6
    assert journal(tmp_path) == before


def test_changing_one_setting_recomputes_that_stage_and_what_follows(tmp_path):
    runner(tmp_path).run(chain(tmp_path))
    runner(tmp_path).run(chain(tmp_path, value=5))
    store = Store(tmp_path / "store")
    assert journal(tmp_path) == 6 + 4
    assert (store.folder(chain(tmp_path, value=5)[2]) / "sum.txt").read_text() == "7"


def test_interrupted_step_leaves_no_artifact_and_keeps_its_complete_shards(tmp_path):
    steps = chain(tmp_path, mode="fail")
    with pytest.raises(RuntimeError, match="planted"):
        runner(tmp_path).run(steps)
    assert not Store(tmp_path / "store").has(steps[1])
    runner(tmp_path).run(steps)
    assert journal(tmp_path) == 6
    assert Store(tmp_path / "store").has(steps[2])
    assert not list((tmp_path / "store").rglob("*.work"))


def _run(folder: Path, steps: Sequence[Step], workers: int) -> None:
    process_module.LOADED_ONCE = ("torch",)  # the fakes need no more, and a test waits for it
    runner(folder, workers).run(steps)


def kill_in(step: Step, folder: Path, steps: Sequence[Step], workers: int = 1) -> None:
    """Run `steps` in a process of its own and kill it, and it alone, while `step` is at work."""
    process = start_process(_run, folder, steps, workers, daemon=False)
    deadline = time.monotonic() + 60
    while not drafts(step, folder, "scratch/tried") and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    process.kill()
    process.join()
    assert drafts(step, folder, "scratch/tried")


def drafts(step: Step, folder: Path, name: str = ".") -> list[Path]:
    """Return what drafts of the artifact hold under `name`."""
    return list(work_folder(Store(folder / "store").folder(step)).glob(f"*/{name}"))


def await_end_of_writers(step: Step, folder: Path, seconds: float) -> None:
    """Wait until no living process fills the artifact."""
    place, deadline = work_folder(Store(folder / "store").folder(step)) / "draft", time.monotonic() + seconds
    while marks_at(place, WRITER):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def contents(step: Step, folder: Path) -> dict[str, str]:
    files = Store(folder / "store").folder(step).rglob("*")
    return {path.name: path.read_text() for path in files if path.name != "manifest.json"}


def test_a_run_killed_with_sigkill_goes_on_and_ends_as_if_nothing_had_happened(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    steps, undisturbed = chain(killed, mode="die"), chain(whole)
    kill_in(steps[1], killed, steps)
    store = Store(killed / "store")
    assert store.has(steps[0])
    assert not store.has(steps[1])
    assert drafts(steps[1], killed, "out/.part1.txt.0123.partial")
    runner(killed).run(steps)
    runner(whole).run(undisturbed)
    assert [contents(one, killed) for one in steps] == [contents(other, whole) for other in undisturbed]
    assert journal(killed) == journal(whole)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    leaves = [step(f"leaf.{run}", FakeConfig(mode="die"), stage="leaf", run=run) for run in range(2)]
    kill_in(leaves[0], tmp_path, leaves, workers=2)
    await_end_of_writers(leaves[0], tmp_path, 20)  # a worker still alive would be at work for a minute
    assert not Store(tmp_path / "store").has(leaves[0])


def _run_as_group(folder: Path, steps: Sequence[Step]) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began the tests in the background
    _run(folder, steps, workers=2)


def test_ctrl_c_ends_the_workers_at_once_and_none_begins_another_step(tmp_path):
    """A terminal sends SIGINT to the complete process group."""
    config = FakeConfig(mode="die", journal=str(tmp_path / "journal.txt"))
    leaves = [step(f"leaf.{run}", config, stage="leaf", run=run) for run in range(6)]
    process = multiprocessing.get_context("spawn").Process(target=_run_as_group, args=(tmp_path, leaves))
    process.start()
    deadline = time.monotonic() + 60
    while not all(drafts(leaf, tmp_path, "scratch/tried") for leaf in leaves[:2]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    process.join(10)
    ended = not process.is_alive()
    process.kill()
    assert ended
    for leaf in leaves[:2]:
        await_end_of_writers(leaf, tmp_path, 5)  # a worker still alive would be at work for a minute
        assert drafts(leaf, tmp_path, "out")
    assert journal(tmp_path) == 2


def test_a_worker_that_dies_is_a_message_with_both_causes():
    with pytest.raises(UserError, match=r"(?s)memory.*__main__"):
        list(LocalExecutor(lambda num_workers: 1).map(os._exit, [1, 1], 2))


def test_scratch_left_by_a_kill_right_after_the_commit_is_dropped(tmp_path):
    steps = chain(tmp_path)
    runner(tmp_path).run(steps)
    left = work_folder(Store(tmp_path / "store").folder(steps[0])) / "0123" / "scratch"
    left.mkdir(parents=True)
    (left / "private.npy").touch()
    runner(tmp_path).run(steps)
    assert not left.parent.parent.exists()


def test_seconds_count_the_attempts_that_failed(tmp_path):
    steps = chain(tmp_path, mode="fail")
    with pytest.raises(RuntimeError, match="planted"):
        runner(tmp_path).run(steps)
    (usage,) = drafts(steps[1], tmp_path, "scratch/usage.json")
    usage.write_text('{"seconds": 1000.0, "peak_memory_mb": 1.0}')
    runner(tmp_path).run(steps)
    assert Store(tmp_path / "store").manifest(steps[1])["seconds"] >= 1000


@pytest.mark.parametrize("device", ["foo", pytest.param("cuda:99", id="too many")])
def test_a_device_that_is_not_there_is_named_with_those_that_are(device):
    with pytest.raises(UserError, match="is not available to torch on this machine; expected one of auto, cpu"):
        ExecutionConfig(device=device).torch_device()


def test_a_step_that_runs_alone_finds_its_process_set_up(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(local_module, "set_up_process", given.append)
    execution = ExecutionConfig(output=tmp_path, device="cpu", workers=1, threads=3)
    replace(runner(tmp_path), execution=execution).run(chain(tmp_path))
    assert given == [3, 3, 3]


def test_a_step_that_runs_alone_begins_without_what_the_one_before_kept(tmp_path, monkeypatch):
    given_back = []
    monkeypatch.setattr(local_module, "give_back_memory", lambda: given_back.append(True))
    runner(tmp_path).run(chain(tmp_path))
    assert len(given_back) == 3


def test_a_device_that_is_not_there_is_refused_before_anything_starts(tmp_path):
    started = []
    observer = Silent()
    observer.started = started.append
    execution = ExecutionConfig(output=tmp_path, device="foo")
    with pytest.raises(UserError, match="not available to torch"):
        replace(runner(tmp_path), execution=execution, observer=observer).run(chain(tmp_path))
    assert not started


def test_independent_steps_give_the_same_result_in_processes_as_one_by_one(tmp_path):
    def fan(folder: Path):
        source = step("source")
        leaves = [step(f"leaf.{run}", FakeConfig(value=run), stage="leaf", run=run, source=source) for run in range(3)]
        return [source, *leaves, step("end", **{f"leaf{run}": leaf for run, leaf in enumerate(leaves)})]

    sums = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        runner(folder, workers).run(fan(folder))
        sums.append((Store(folder / "store").folder(fan(folder)[-1]) / "sum.txt").read_text())
    assert sums == ["7", "7"]


def test_workers_serve_one_group_after_another_and_make_room_for_a_step_alone(tmp_path):
    def fan(stage: str, source: Step):
        config = FakeConfig(journal=str(tmp_path / f"{stage}.txt"))
        return [step(f"{stage}.{run}", config, stage=stage, run=run, source=source) for run in range(2)]

    source = step("source")
    early, late = fan("early", source), fan("late", source)
    alone = step("alone", before=late[0])
    last = fan("last", alone)
    runner(tmp_path, workers=2).run([source, *early, *late, alone, *last])
    processes = {}
    for stage in ("early", "late", "last"):
        processes[stage] = {line.split("pid=")[1] for line in (tmp_path / f"{stage}.txt").read_text().splitlines()}
    assert len(processes["early"] | processes["late"]) <= 2
    assert not processes["late"] & processes["last"]


def test_an_error_in_a_worker_process_reaches_the_caller(tmp_path):
    leaves = [step(f"leaf.{run}", FakeConfig(value=run, mode="fail"), stage="leaf", run=run) for run in range(2)]
    with pytest.raises(RuntimeError, match="planted"):
        runner(tmp_path, workers=2).run(leaves)


def test_a_manifest_records_config_what_it_left_open_inputs_time_and_memory(tmp_path):
    steps = chain(tmp_path)
    runner(tmp_path).run(steps)
    manifest = Store(tmp_path / "store").manifest(steps[1])
    assert manifest["inputs"] == {"source": steps[0].fingerprint}
    assert manifest["config"]["value"] == 1
    assert manifest["became"] == {"total": 2}
    assert manifest["seconds"] >= 0
    assert manifest["peak_memory_mb"] > 1
    assert manifest["computed_on"]["device"] == "cpu"
    assert manifest["computed_on"]["threads"] >= 1
    assert manifest["files"] == {"part0.txt": 1, "part1.txt": 1, "sum.txt": 1}


def test_donors_change_no_fingerprint_and_are_given_once_they_are_complete(tmp_path):
    donor = step("donor.1", stage="leaf", run=1)
    taker = step("leaf.2", stage="leaf", run=2)
    with_donor = replace(taker, donors=[donor])
    assert with_donor.fingerprint == taker.fingerprint
    seen = []
    original = runner_module.load_function

    def looking(path):
        return lambda config, context: (seen.append(list(context.donors)), original(path)(config, context))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_module, "load_function", looking)
        runner(tmp_path).run([replace(step("early", stage="leaf", run=3), donors=[donor]), donor, with_donor])
    assert seen == [[], [], [Store(tmp_path / "store").folder(donor)]]


@pytest.mark.parametrize("workers", [1, 2])
def test_keeping_going_loses_only_what_needs_the_step_that_failed(tmp_path, workers):
    good, bad = (
        step(f"leaf.{run}", FakeConfig(mode=mode), stage="leaf", run=run) for run, mode in ((1, "write"), (2, "refuse"))
    )
    ends = [step("end.1", stage="end", source=good), step("end.2", stage="end", source=bad)]
    going = replace(runner(tmp_path, workers), keep_going=True)
    failed = going.run([bad, good, *ends])
    assert failed == {"leaf.2": "planted refusal", "end.2": "planted refusal"}
    assert [going.store.has(one) for one in (good, bad, *ends)] == [True, False, True, False]
    with pytest.raises(UserError, match="planted refusal"):
        runner(tmp_path, workers).run([bad, good, *ends])
