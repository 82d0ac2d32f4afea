"""Every image of a step belongs to one process; after a death all processes start again; the final error is explained."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, ThreadPoolExecutor, wait
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import nn

from tckr.errors import UserError
from tckr.process import Address, Tell, started_worker_context
from tckr.training import process_group
from tckr.training.process_group import ALONE, BeginAgain, Team, team_size, train_together


@pytest.mark.parametrize(("size", "count"), [(1, 5), (2, 5), (4, 4), (3, 32)])
def test_shares_make_up_the_step(size: int, count: int) -> None:
    shares = [list(range(count))[Team(rank, size).share(count)] for rank in range(size)]
    assert list(chain(*shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_no_process_is_without_an_image() -> None:
    assert team_size(8, 4, "cpu") == 4


def test_the_processes_draw_for_their_shares_apart_and_the_first_as_if_it_were_alone() -> None:
    seeds = [Team(rank, 3).own_seed(5) for rank in range(3)]
    assert seeds[0] == ALONE.own_seed(5) == 5
    assert len(set(seeds)) == 3


def test_every_process_has_its_own_gpu() -> None:
    assert [Team(rank, 2).device("cuda") for rank in range(2)] == ["cuda", "cuda:1"]
    assert Team(1, 2).device("cpu") == "cpu"


def test_missing_gpus_are_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert team_size(2, 32, "cuda") == 2
    with pytest.raises(UserError, match=r"execution\.gpus to at most 2"):
        team_size(3, 32, "cuda")
    with pytest.raises(UserError, match=r"execution\.device=auto"):
        team_size(2, 32, "cuda:1")


def test_one_process_trains_without_torch_distributed() -> None:
    module = nn.Linear(2, 1)
    assert ALONE.joined(module) is module
    ALONE.count(number := torch.ones(3))
    assert number.tolist() == [1, 1, 1]


def add_up(team: Team, tell: Tell, *, folder: Path, kill: bool = False) -> None:
    """Tell the gradient of a sum over all images, and all threads; with `kill`, one process dies at first."""
    if kill and team.rank == 1 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    module = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        module.weight.zero_()
    images = torch.arange(15.0).view(5, 3)
    joined = team.joined(module)
    (joined(images[team.share(5)]).sum() * team.size).backward()
    threads = torch.tensor(float(torch.get_num_threads()))
    team.count(threads)
    assert module.weight.grad is not None
    tell((module.weight.grad.flatten().tolist(), threads.item()))


def test_gradients_are_those_of_the_complete_step_and_threads_are_divided(tmp_path: Path) -> None:
    told: list[object] = []
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        train_together(2, partial(add_up, folder=tmp_path), "cpu", told.append)
        assert torch.get_num_threads() == 6
    finally:
        torch.set_num_threads(before)
    assert told == [([30.0, 35.0, 40.0], 6.0)]
    assert not multiprocessing.active_children()


def test_all_begin_anew_when_one_is_killed(tmp_path: Path) -> None:
    told: list[tuple[list[float], float]] = []
    train_together(2, partial(add_up, folder=tmp_path, kill=True), "cpu", told.append)
    assert (tmp_path / "killed").exists()
    assert [gradient for gradient, _ in told] == [[30.0, 35.0, 40.0]]


class ProcessesHere:
    """A gang whose processes are all on this machine; those on several are in tests/engine/test_ray.py."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def __call__(self, function: Callable[[int, Address, Tell], None], size: int, hear: Callable[[Any], object]) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = free.getsockname()
        with ProcessPoolExecutor(size, started_worker_context()) as pool:
            tell = partial(write_line, file=self.told)
            futures = [pool.submit(function, rank, address, tell) for rank in range(size)]
            if any(future.exception() for future in wait(futures, return_when=FIRST_EXCEPTION).done):
                time.sleep(1)  # in which others could fail as well
                failed = [error for future in futures if future.done() and (error := future.exception())]
                for process in pool._processes.values():
                    process.kill()
                raise failed[0]
        for line in self.told.read_text().splitlines():
            hear(json.loads(line))


def write_line(what: Any, *, file: Path) -> None:
    with file.open("a") as stream:
        stream.write(json.dumps(what) + "\n")


def test_a_gang_trains_what_processes_of_the_launcher_train_and_begins_anew_when_one_is_killed(tmp_path: Path) -> None:
    told: list[Any] = []
    gang = ProcessesHere(tmp_path / "told")
    train_together(2, partial(add_up, folder=tmp_path, kill=True), "cpu", told.append, gang=gang)
    assert (tmp_path / "killed").exists()
    assert [gradient for gradient, _ in told] == [[30.0, 35.0, 40.0]]
    with pytest.raises(UserError, match=r"^no room for the data$"):
        train_together(2, refuse, "cpu", print, gang=gang)


def test_a_gang_that_dies_again_and_again_is_a_user_error_with_the_reason() -> None:
    def dying(*_: Any) -> None:
        raise RuntimeError("planted failure")

    told = r"2 processes that train one model died 4 times. The last error: RuntimeError: planted failure"
    with pytest.raises(UserError, match=told):
        train_together(2, refuse, "cpu", print, gang=dying)


def test_a_process_that_sees_only_its_own_gpu_uses_the_first_that_it_sees() -> None:
    assert Team(1, 2, sees_own_gpu=True).device("cuda") == "cuda"
    assert team_size(2, 32, "cuda", ProcessesHere(Path("told"))) == 2  # this process need not see them


def refuse(team: Team, tell: Tell) -> None:
    raise UserError("no room for the data")


def fail(team: Team, tell: Tell) -> None:
    if team.rank == 1:
        raise RuntimeError("planted failure")


def test_what_a_process_says_to_the_user_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"^no room for the data$"):
        train_together(2, refuse, "cpu", print)
    assert "Traceback" not in capfd.readouterr().err


def test_processes_that_die_again_and_again_are_a_user_error_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "RESTARTS", 1)
    expected = r"2 processes that train one model died 2 times. The last error: RuntimeError: planted failure"
    with pytest.raises(UserError, match=expected):
        train_together(2, fail, "cpu", print)


def refuse_second(team: Team, tell: Tell, *, folder: Path) -> None:
    (folder / f"attempt-{time.monotonic_ns()}").touch() if team.rank == 0 else None
    if team.rank == 1:
        raise UserError("no room for the data")
    team.count(torch.ones(1))  # waits for the other process


@pytest.mark.parametrize("in_gang", [False, True])
def test_what_one_process_says_to_the_user_comes_before_the_lost_connections_of_the_others(
    tmp_path: Path, in_gang: bool
) -> None:
    gang = ProcessesHere(tmp_path / "told") if in_gang else None
    with pytest.raises(UserError, match=r"^no room for the data$"):
        train_together(2, partial(refuse_second, folder=tmp_path), "cpu", print, gang=gang)
    assert len(list(tmp_path.glob("attempt-*"))) == 1


def tell_and_go_on(team: Team, tell: Tell, *, folder: Path, seconds: float = 0) -> None:
    tell("first")
    time.sleep(seconds)
    (folder / "trained").touch()


def refuse_to_hear(what: object) -> None:
    raise OSError("no space left for the log")


def test_an_error_of_who_hears_the_processes_ends_them_and_is_raised(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^no space left for the log$"):
        train_together(2, partial(tell_and_go_on, folder=tmp_path, seconds=30), "cpu", refuse_to_hear)
    assert not (tmp_path / "trained").exists()


def tell_twice(team: Team, tell: Tell, *, folder: Path) -> None:
    (folder / f"begun {team.rank} {os.getpid()}").touch()
    tell("first")
    time.sleep(1)
    tell("second")
    if team.rank == 0:
        (folder / "trained").touch()


def test_an_error_of_who_hears_the_processes_ends_them_on_any_thread_and_nothing_begins_anew(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        trained = pool.submit(train_together, 2, partial(tell_twice, folder=tmp_path), "cpu", refuse_to_hear)
        with pytest.raises(OSError, match=r"^no space left for the log$"):
            trained.result()
    assert not (tmp_path / "trained").exists()
    assert len(list(tmp_path.glob("begun *"))) == 2


def begin_again_and_tell(team: Team, tell: Tell, *, folder: Path) -> None:
    """Let the second process ask to begin again before the first one tells something; nobody waits for the others."""
    if team.rank == 0:
        time.sleep(1)
        tell("first")
    elif not (folder / "asked").exists():
        (folder / "asked").touch()
        raise BeginAgain


def test_an_error_of_who_hears_is_not_lost_when_a_process_asks_to_begin_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:  # on the main thread, the first process would be ended before it tells anything
        heard: list[object] = []
        hear = partial(refuse_the_first, heard)
        trained = pool.submit(train_together, 2, partial(begin_again_and_tell, folder=tmp_path), "cpu", hear)
        with pytest.raises(OSError, match=r"^no space left for the log$"):
            trained.result()


def refuse_the_first(heard: list[object], what: object) -> None:
    heard.append(what)
    if len(heard) == 1:
        raise OSError("no space left for the log")


def test_an_error_of_who_hears_a_gang_is_raised_and_nothing_begins_anew(tmp_path: Path) -> None:
    gang, share = ProcessesHere(tmp_path / "told"), partial(tell_and_go_on, folder=tmp_path)
    with pytest.raises(OSError, match=r"^no space left for the log$"):
        train_together(2, share, "cpu", refuse_to_hear, gang=gang)
    assert len((tmp_path / "told").read_text().splitlines()) == 1


SCRIPT = """
import os, sys, time
from pathlib import Path

from tckr import process
from tckr.training.process_group import train_together

process.LOADED_ONCE = ("torch",)  # all that these processes need


def wait(team, tell):
    Path(sys.argv[1] + str(os.getpid())).touch()
    time.sleep(600)


if __name__ == "__main__":
    train_together(2, wait, "cpu", print)
"""


def test_the_others_end_when_the_first_is_killed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen([sys.executable, str(tmp_path / "script.py"), str(tmp_path / "at-work-")]) as first:
        while len(marks := list(tmp_path.glob("at-work-*"))) < 2:
            assert first.poll() is None
            time.sleep(0.1)
        first.kill()
    others = [int(path.name.removeprefix("at-work-")) for path in marks]
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(other) for other in others) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(psutil.pid_exists(other) for other in others)
