"""On Ray the steps give the same artifacts, and what is lost with a worker or a machine is done again, no more.

Needs Ray, which `.ci/ray` installs into an environment of its own.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tckr.engine import contents
from tckr.engine.execution import ExecutionConfig
from tckr.engine.runner import Runner
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.errors import UserError
from tests.engine.fakes import FakeConfig, step
from tests.engine.test_ready_queue import Recorder

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def runner(folder: Path, address: str | None, observer: Any) -> Runner:
    return Runner(
        store=Store(folder / "store"),
        execution=ExecutionConfig(
            output=folder, device="cpu", threads=1, workers=3, executor="ray" if address else "local", ray_address=address
        ),
        log_file=folder / "log.jsonl",
        observer=observer,
    )


def fan(folder: Path, num_leaves: int = 3, **changes: Any) -> list[Step]:
    """Return a source, steps that read it, and one that reads them."""
    source = step("source", FakeConfig(mode="tell"))
    config = FakeConfig(journal=str(folder / "journal.txt"), **changes)
    leaves = [step(f"leaf.{run}", config, stage="leaf", run=run, source=source) for run in range(num_leaves)]
    return [source, *leaves, step("end", **{f"leaf{run}": leaf for run, leaf in enumerate(leaves)})]


def digests(folder: Path, steps: list[Step]) -> dict[str, dict[str, str]]:
    """Return the digest of every file of every artifact, all of which must be complete."""
    store = Store(folder / "store")
    assert [store.damage(one) for one in steps] == [""] * len(steps)
    return {one.name: contents.read_manifest(store.folder(one))["digests"] for one in steps}


def test_steps_on_a_cluster_give_the_artifacts_that_they_give_here(tmp_path, cluster):
    found, recorder = [], Recorder()
    for name, address in (("here", None), ("there", cluster.address)):
        steps = fan(tmp_path / name)
        (tmp_path / name).mkdir()
        runner(tmp_path / name, address, recorder).run(steps)
        found.append(digests(tmp_path / name, steps))
    assert found[0] == found[1]
    told = [line for line in recorder.told if "source" in line]
    assert told[len(told) // 2 :] == told[: len(told) // 2]  # what the steps tell reaches the observer from there too
    assert recorder.advanced["source"] == 2000


def kill_whoever_tries(folder: Path, times: int, killed: list[int]) -> None:
    """Kill, as often as `times`, the process that waits in a step."""
    while len(killed) < times:
        for mark in folder.glob("store/*/*.work/draft.*.writer"):
            process = int(writer_of(mark))
            if process and process not in killed and list(mark.parent.glob("*/scratch/tried")):
                killed.append(process)
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def writer_of(mark: Path) -> int:
    from tckr.engine import liveness

    return liveness._read(mark).get("process", 0)


def test_a_killed_worker_is_replaced_and_its_complete_shards_are_kept(tmp_path, cluster):
    steps, recorder, killed = fan(tmp_path, mode="die"), Recorder(), []
    killer = threading.Thread(target=kill_whoever_tries, args=(tmp_path, 3, killed))
    killer.start()
    runner(tmp_path, cluster.address, recorder).run(steps)
    killer.join()
    assert len(killed) == 3
    assert sorted(line.split()[0] for line in (tmp_path / "journal.txt").read_text().splitlines()) == [
        f"{run}:{shard}" for run in range(3) for shard in range(2)
    ]
    assert sum("starts again (2 of 3)" in line for line in recorder.told) == 3
    digests(tmp_path, steps)


def test_a_step_that_fails_three_times_ends_with_its_own_error(tmp_path, cluster):
    broken = replace(step("broken", FakeConfig(error=5)), function="tests.engine.test_ray:fail")
    with pytest.raises(UserError, match=r"^broken failed 3 times, at last with RuntimeError: planted failure$"):
        runner(tmp_path, cluster.address, Recorder()).run([broken])


def fail(config: FakeConfig, context: Any) -> None:
    raise RuntimeError("planted failure")


def test_a_refusal_is_reported_unchanged_and_at_once(tmp_path, cluster):
    recorder = Recorder()
    with pytest.raises(UserError, match=r"^planted refusal$"):
        runner(tmp_path, cluster.address, recorder).run([step("one", FakeConfig(mode="refuse"))])
    assert not any("anew" in line for line in recorder.told)


def map_squares(config: FakeConfig, context: Any) -> None:
    """Map over processes, of which one dies at its first item."""
    tried = context.scratch / "hand-tried"
    items = [(number, str(tried) if number == 3 else "") for number in range(20)]
    found = sorted(context.workers(square, items, 2))
    (context.out / "sum.txt").write_text(str(found))


def square(item: tuple[int, str]) -> int:
    number, mark = item
    if mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def test_what_a_step_maps_over_is_done_once_each_though_an_actor_is_killed(tmp_path, cluster):
    one = replace(step("one"), function="tests.engine.test_ray:map_squares")
    runner(tmp_path, cluster.address, Recorder()).run([one])
    text = (Store(tmp_path / "store").folder(one) / "sum.txt").read_text()
    assert text == str([number**2 for number in range(20)])


def map_processes(config: FakeConfig, context: Any) -> None:
    """Write from how many processes beside this one the items came back; items wait for `value` of them."""
    found = {*context.spread(partial(process_of, folder=context.scratch, expected=config.value), range(8), 4)}
    (context.out / "sum.txt").write_text(str(len(found - {os.getpid()})))


def process_of(item: int, *, folder: Path, expected: int) -> int:
    (folder / f"process-{os.getpid()}").touch()
    deadline = time.monotonic() + 120
    while len(list(folder.glob("process-*"))) < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return os.getpid()


def test_steps_that_run_beside_others_map_over_their_share_of_the_cluster(tmp_path, cluster):
    node = cluster.add_node(num_cpus=1)
    pair = [
        replace(
            step(f"pair.{run}", FakeConfig(value=2), stage="pair", run=run), function="tests.engine.test_ray:map_processes"
        )
        for run in range(2)
    ]
    observer = runner(tmp_path, cluster.address, Recorder())
    replace(observer, execution=observer.execution.model_copy(update={"workers": 4})).run(pair)
    cluster.remove_node(node)
    texts = [(Store(tmp_path / "store").folder(one) / "sum.txt").read_text() for one in pair]
    assert texts == ["2", "2"]  # of four


def test_two_steps_that_want_the_complete_cluster_do_not_wait_for_each_others_actors(tmp_path, cluster):
    both = [replace(step(f"alone.{run}"), function="tests.engine.test_ray:map_processes") for run in range(2)]
    runner(tmp_path, cluster.address, Recorder()).run(both)
    texts = [(Store(tmp_path / "store").folder(one) / "sum.txt").read_text() for one in both]
    assert all(1 <= int(text) <= 3 for text in texts)


def test_a_lost_machine_costs_the_shard_in_flight(tmp_path, cluster):
    node = cluster.add_node(num_cpus=1)
    steps, recorder, killed = fan(tmp_path, 4, mode="die"), Recorder(), []
    loser = threading.Thread(target=lose, args=(tmp_path, cluster, node, killed))
    loser.start()
    runner(tmp_path, cluster.address, recorder).run(steps)
    loser.join()
    assert len((tmp_path / "journal.txt").read_text().splitlines()) == 4 * 2
    assert sum("starts again (2 of 3)" in line for line in recorder.told) == 4
    digests(tmp_path, steps)


def lose(folder: Path, cluster: Any, node: Any, killed: list[int]) -> None:
    """Remove a machine when each of four is at work, then kill the other three workers."""
    while len(list(folder.glob("store/leaf/*.work/*/scratch/tried"))) < 4:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    kill_whoever_tries(folder, 3, killed)


def test_no_cluster_at_the_address_says_what_to_do_and_starts_none(tmp_path):
    ray.shutdown()
    before = [process.pid for process in psutil.Process().children()]
    with pytest.raises(UserError, match=r"no Ray cluster answers there .*`ray start --head`"):
        runner(tmp_path, "127.0.0.1:1", Recorder()).run([step("one")])
    assert [process.pid for process in psutil.Process().children()] == before


def test_handing_out_holds_two_pieces_per_actor_however_many_there_are():
    """Ray is simulated here; `benchmarks/cluster_plan.py` goes to a million shards."""
    from benchmarks.cluster_plan import LARGEST_GROWTH, LARGEST_SHARE, hand_out  # needs Ray

    few, many = (hand_out(count, 20, 1.0, traced=True) for count in (400, 4_000))
    assert (few.in_flight, many.in_flight) == (40, 40)
    assert abs(many.peak_bytes - few.peak_bytes) < LARGEST_GROWTH
    assert many.idle_share < LARGEST_SHARE
