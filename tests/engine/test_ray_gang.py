"""On Ray, the first error of processes that train together is told, and no job waits for a place that no machine has.

Needs Ray, which `.ci/ray` installs into an environment of its own.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Needs
from tckr.engine.observer import Silent
from tckr.engine.store import Store
from tckr.errors import UserError
from tckr.process import Address, Tell
from tckr.training.process_group import Team, train_together
from tests.engine.fakes import FakeConfig, step
from tests.engine.test_ray import runner
from tests.engine.test_ready_queue import Recorder
from tests.training.test_process_group import add_up, refuse_second

ray = pytest.importorskip("ray")
from ray.exceptions import RayActorError  # noqa: E402 - needs Ray

from tckr.engine.executors import ray as ray_executor  # noqa: E402
from tckr.engine.executors.ray_gang import RayGang  # noqa: E402
from tckr.engine.executors.ray_room import Request, count_places  # noqa: E402
from tckr.engine.executors.ray_workers import Hands, RayMap, Share, Shares  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
CORE = Share(threads=1, cpus=1.0, gpus=0.0)


def train_in_gang(config: FakeConfig, context: Any) -> None:
    """Let two processes add up gradients, of which one is killed at first; write what they told, and their machines."""
    told: list[Any] = []
    share = partial(add_up_somewhere, folder=context.scratch, kill=config.mode == "die")
    train_together(2, share, "cpu", told.append, gang=context.gang)
    machines = {path.read_text() for path in context.scratch.glob("machine-*")}
    (context.out / "sum.txt").write_text(f"{told[-1][0]} on {len(machines)}")


def add_up_somewhere(team: Team, tell: Tell, **named: Any) -> None:
    add_up(team, tell, **named)
    (named["folder"] / f"machine-{team.rank}").write_text(ray.get_runtime_context().get_node_id())


@pytest.mark.parametrize("mode", ["write", "die"])
def test_processes_on_two_machines_train_one_model_and_begin_anew_when_one_is_killed(tmp_path, cluster, mode):
    """Two such steps at once wait for no half of each other's machines."""
    both = [
        replace(
            step(f"train.{run}", FakeConfig(mode=mode)),
            function="tests.engine.test_ray_gang:train_in_gang",
            trains_together=True,
        )
        for run in range(2)
    ]
    made, recorder = runner(tmp_path, cluster.address, Recorder()), Recorder()
    execution = made.execution.model_copy(update={"gpus": 2})
    replace(made, execution=execution, observer=recorder).run(both)
    texts = [(Store(tmp_path / "store").folder(one) / "sum.txt").read_text() for one in both]
    assert texts == ["[30.0, 35.0, 40.0] on 2"] * 2
    assert not any("anew" in line for line in recorder.told)


def train_with(folder: Path, address: str | None, observer: Any, **execution: Any) -> None:
    """Run one step that trains in several processes."""
    one = replace(step("train"), function="tests.engine.test_ray_gang:train_in_gang", trains_together=True)
    made = runner(folder, address, observer)
    replace(made, execution=made.execution.model_copy(update=execution)).run([one])


def test_more_processes_than_the_cluster_has_places_are_refused(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(ray_executor, "SECONDS_FOR_MACHINES", 0)
    expected = (
        r"^execution\.gpus=9: train trains in 9 processes, which need 1 CPU core each; the cluster has 3 machines with 1 "
        r"CPU core, which is room for 3; set execution\.gpus to at most 3, or start more machines$"
    )
    with pytest.raises(UserError, match=expected):
        train_with(tmp_path, cluster.address, Recorder(), gpus=9)


def test_processes_for_which_no_two_machines_are_large_enough_wait_until_one_is_added(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(ray_executor, "SECONDS_BETWEEN_LOOKS", 0.2)
    first, added = cluster.add_node(num_cpus=2), []

    class Somebody(Recorder):
        def warned(self, message: str) -> None:
            super().warned(message)
            added.append(cluster.add_node(num_cpus=2))

    told = Somebody()
    train_with(tmp_path, cluster.address, told, gpus=2, threads=2)
    for node in (first, *added):
        cluster.remove_node(node)
    (warning,) = [line for line in told.told if "execution.gpus" in line]
    assert "1 machine with 2 CPU cores, which is room for 1; set execution.gpus to at most 1" in warning
    assert "set execution.threads to at most 1, or start more machines. The run waits 10 minutes for them" in warning


def test_each_job_without_room_waits_its_own_time_after_its_own_warning(cluster, monkeypatch):
    """One job waits for four cores and gets them; meanwhile the machine with a GPU, which the other needs, leaves."""
    small, large, clock, told = {"CPU": 1.0, "GPU": 1.0}, {"CPU": 4.0}, SimpleNamespace(now=1000.0), Recorder()
    there = [small, large]
    monkeypatch.setattr(ray_executor, "find_machines", lambda: list(there))
    monkeypatch.setattr(ray_executor, "time", SimpleNamespace(monotonic=lambda: clock.now))
    execution = ExecutionConfig(device="auto", executor="ray", ray_address=cluster.address)
    with ray_executor.RayExecutor(execution, told) as executor:

        def look(seconds: int, *machines: dict[str, float]) -> list[str]:
            clock.now, there[:] = 1000.0 + seconds, machines
            executor._look_for_room()
            return told.told

        executor.submit(wait_long, Needs(share=Fraction(1, 2), threads=4, device=False))
        executor.submit(wait_long, Needs(share=Fraction(1, 2), threads=1))
        assert ["needs 4 CPU cores of one machine" in line for line in look(0, small)] == [True]
        warned = look(590, large)
        assert len(warned) == 2
        assert "needs 1 CPU core and 1 GPU of one machine" in warned[1]
        assert len(look(1180, large)) == 2
        with pytest.raises(UserError, match="needs 1 CPU core and 1 GPU of one machine"):
            look(1190, large)


def do_nothing(**_: Any) -> str:
    return "done"


def test_a_job_that_ended_on_a_machine_that_then_left_has_its_result(cluster, monkeypatch):
    monkeypatch.setattr(ray_executor, "SECONDS_FOR_MACHINES", 0)
    execution = ExecutionConfig(device="cpu", executor="ray", ray_address=cluster.address)
    with ray_executor.RayExecutor(execution, Silent()) as executor:
        executor.submit(do_nothing, Needs(share=Fraction(1, 2), threads=1))
        ray.wait(list(executor._at_work))
        monkeypatch.setattr(ray_executor, "find_machines", list)
        assert [future.result() for future in executor.completed()] == ["done"]


def test_places_of_one_machine_are_not_put_together_with_those_of_another() -> None:
    machines = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 7.0, "GPU": 4.0}, {"CPU": 16.0}]
    places = {cpus: count_places(machines, Share(threads=1, cpus=cpus, gpus=1.0)) for cpus in (0.0, 1.0, 4.0, 8.0, 9.0)}
    assert places == {0.0: 6, 1.0: 6, 4.0: 3, 8.0: 1, 9.0: 0}
    text = Request("adapt", Share(threads=9, cpus=9.0, gpus=1.0), 4).explain(machines)
    assert "need 9 CPU cores and 1 GPU each; the cluster has 1 machine with 8 CPU cores and 2 GPUs, 1 machine with" in text
    assert "room for 0; set execution.threads to at most 3, or start more machines" in text


def test_a_process_asks_for_no_more_cores_than_a_machine_with_a_gpu_has() -> None:
    shares = Shares(most_cpus=16.0, most_beside_gpu=4.0)
    assert [shares.of(8, device=device).resources for device in (True, False)] == [{"CPU": 4.0, "GPU": 1.0}, {"CPU": 8.0}]
    assert Shares(most_cpus=4.0).of(8, device=True).resources == {"CPU": 4.0}


@pytest.fixture
def connected(cluster):
    ray.init(cluster.address, namespace="tckr", log_to_driver=False)
    yield
    ray.shutdown()


def call_together(function: Any, folder: Path) -> None:
    """Call `function` in a gang of two."""
    gang = RayGang.reserve(2, CORE, folder)
    try:
        gang(function, 2, print)
    finally:
        gang.release()


def refuse_in_gang(config: FakeConfig, context: Any) -> None:
    train_together(2, partial(refuse_second, folder=context.scratch), "cpu", print, gang=context.gang)


def test_the_refusal_of_one_process_comes_before_the_lost_connections_of_the_others(tmp_path, cluster):
    one = replace(step("train"), function="tests.engine.test_ray_gang:refuse_in_gang", trains_together=True)
    made = runner(tmp_path, cluster.address, Recorder())
    with pytest.raises(UserError, match=r"^no room for the data$"):
        replace(made, execution=made.execution.model_copy(update={"gpus": 2})).run([one])
    assert len(list(tmp_path.glob("store/*/*/*/scratch/attempt-*"))) == 1


def die_second(rank: int, address: Address, tell: Tell) -> None:
    time.sleep(0.5)
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ConnectionError("lost a peer")


@pytest.mark.usefixtures("connected")
def test_the_death_of_one_process_comes_before_the_lost_connections_of_the_others(tmp_path):
    with pytest.raises(RayActorError, match="died unexpectedly"):
        call_together(die_second, tmp_path)


def refuse_late(rank: int, address: Address, tell: Tell) -> None:
    begun = Path("begun")  # both have begun when the first one fails, however slowly they start
    if rank == 1:
        begun.touch()
        time.sleep(1)
        raise UserError("no room for the data")
    while not begun.exists():
        time.sleep(0.05)
    raise ConnectionError("lost a peer")


@pytest.mark.usefixtures("connected")
def test_a_refusal_that_arrives_after_a_lost_connection_comes_before_it(tmp_path):
    with pytest.raises(UserError, match=r"^no room for the data$"):
        call_together(refuse_late, tmp_path)


@pytest.mark.usefixtures("connected")
def test_a_folder_that_a_machine_lacks_is_a_user_error_of_every_kind_of_process(tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(UserError, match=r"missing is not on machine"):
        call_together(die_second, missing)
    with RayMap(missing, Hands(most=2, share_for=lambda number: CORE)) as over, pytest.raises(UserError, match="is not on"):
        list(over(abs, [1, 2], 2))


def wait_long(**_: Any) -> None:
    time.sleep(60)


def test_a_process_that_loses_the_cluster_says_so(cluster):
    execution = ExecutionConfig(device="cpu", executor="ray", ray_address=cluster.address)
    with ray_executor.RayExecutor(execution, Silent()) as executor:
        executor.submit(wait_long, Needs(share=Fraction(1, 2), threads=1))
        ray.kill(executor._mailbox)
        with pytest.raises(UserError, match=r"lost the Ray cluster .*Give the same command again"):
            list(executor.completed())
