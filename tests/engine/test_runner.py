"""What is whole is never computed again; what was killed goes on; what changed is computed with all that follows."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from tckr.engine.execution import ExecutionConfig
from tckr.engine.runner import Runner, neighbours
from tckr.engine.store import Store
from tests.engine.fakes import FakeConfig, step


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


def test_interrupted_step_leaves_no_artifact_and_keeps_its_whole_shards(tmp_path):
    steps = chain(tmp_path, mode="fail")
    with pytest.raises(RuntimeError, match="planted"):
        runner(tmp_path).run(steps)
    assert not Store(tmp_path / "store").has(steps[1])
    runner(tmp_path).run(steps)
    assert journal(tmp_path) == 6
    assert Store(tmp_path / "store").has(steps[2])
    assert not list((tmp_path / "store").rglob("*.scratch"))


def _run_chain(folder: Path) -> None:
    runner(folder).run(chain(folder, mode="die"))


def test_kill_9_in_the_middle_of_a_step_loses_nothing_that_was_whole(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_run_chain, args=(tmp_path,))
    process.start()
    partial = Store(tmp_path / "store").folder(chain(tmp_path, mode="die")[1])
    deadline = time.monotonic() + 30
    while not (partial.with_name(partial.name + ".partial") / "part0.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    store = Store(tmp_path / "store")
    assert store.has(chain(tmp_path)[0])
    assert not store.has(chain(tmp_path, mode="die")[1])


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


def test_an_error_in_a_worker_process_reaches_the_caller(tmp_path):
    leaves = [step(f"leaf.{run}", FakeConfig(value=run, mode="fail"), stage="leaf", run=run) for run in range(2)]
    with pytest.raises(RuntimeError, match="planted"):
        runner(tmp_path, workers=2).run(leaves)


def test_neighbours_group_only_independent_steps_of_one_stage():
    first = step("a.1", stage="a")
    second = step("a.2", stage="a", run=1)
    after = step("a.3", stage="a", source=second)
    assert [[member.name for member in group] for group in neighbours([first, second, after, step("b")])] == [
        ["a.1", "a.2"],
        ["a.3"],
        ["b"],
    ]


def test_a_manifest_records_config_inputs_time_and_memory(tmp_path):
    steps = chain(tmp_path)
    runner(tmp_path).run(steps)
    manifest = Store(tmp_path / "store").manifest(steps[1])
    assert manifest["inputs"] == {"source": steps[0].fingerprint}
    assert manifest["config"]["value"] == 1
    assert manifest["seconds"] >= 0
    assert manifest["peak_memory_mb"] > 1
    assert manifest["files"] == {"part0.txt": 1, "part1.txt": 1, "sum.txt": 1}
