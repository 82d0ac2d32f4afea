"""Every image of a step is one process's; a team that cannot be, or is no more, is explained."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from pickle import PicklingError

import psutil
import pytest
import torch

from tckr.errors import UserError
from tckr.training import process_group
from tckr.training.process_group import ALONE, Team, assembled, team_size


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


def test_a_dead_process_is_a_user_error_after_its_own_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="one of the processes that train together died"):
        train_with_another(tmp_path / "team")
    said = capfd.readouterr().err
    assert "process 2 of 2: no room for the data" in said
    assert "Traceback" not in said


def train_with_another(meeting: Path) -> None:
    with assembled(2, fail, meeting, "cpu") as team:
        team.add_up(torch.zeros(()), torch.ones(3))


SCRIPT = """
import os, sys, time
from pathlib import Path

import torch

from tckr.training import process_group
from tckr.training.process_group import assembled

process_group.SECONDS_TO_END = 0.5


def help_train(team):
    Path(sys.argv[1] + str(os.getpid())).touch()
    time.sleep(600)


def train():
    with assembled(2, help_train, Path(sys.argv[1]), "cpu") as team:
        team.add_up(torch.ones(3))


"""


def start(tmp_path: Path, call: str) -> subprocess.Popen[str]:
    (tmp_path / "script.py").write_text(SCRIPT + call)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "team")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_a_script_that_the_others_would_run_again_ends_with_the_reason(tmp_path: Path) -> None:
    first = start(tmp_path, "train()\n")
    _, said = first.communicate(timeout=100)
    assert first.returncode == 2
    assert 'must do so below `if __name__ == "__main__":`' in said


def test_a_killed_process_is_a_user_error(tmp_path: Path) -> None:
    with started(tmp_path) as (first, other):
        os.kill(other, signal.SIGKILL)
        _, said = first.communicate(timeout=100)
        assert "UserError: one of the processes that train together died" in said


def test_the_others_end_when_the_first_is_killed(tmp_path: Path) -> None:
    with started(tmp_path) as (first, other):
        first.kill()
        first.wait()
        deadline = time.monotonic() + 30
        while psutil.pid_exists(other) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not psutil.pid_exists(other)


@contextmanager
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield the first process, at work, and the number of the other one, which will never answer it."""
    with start(tmp_path, 'if __name__ == "__main__":\n    train()\n') as first:
        try:
            while not (marks := [path.name for path in tmp_path.glob("team[0-9]*")]):
                assert first.poll() is None
                time.sleep(0.1)
            yield first, int(marks[0].removeprefix("team"))
        finally:
            first.kill()


def test_threads_are_shared_out_and_given_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    try:
        with assembled(2, add_threads, tmp_path / "team", "cpu") as team:
            assert add_threads(team) == 6
        assert torch.get_num_threads() == 6
    finally:
        torch.set_num_threads(before)


def add_threads(team: Team) -> float:
    """Return the threads of all processes."""
    threads = torch.tensor([float(torch.get_num_threads())])
    team.add_up(threads)
    return threads.item()


def test_an_error_of_the_first_process_is_not_blamed_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process_group, "SECONDS_TO_END", 2.0)
    with pytest.raises(RuntimeError, match="of its own"):
        fail_beside_another(tmp_path / "team")

    said = capfd.readouterr().err
    assert said == ""  # the other one does not complain of the lost connection


def test_a_training_that_cannot_be_handed_over_leaves_no_process(tmp_path: Path) -> None:
    with (
        pytest.raises((AttributeError, PicklingError), match="pickle"),
        assembled(2, lambda team: None, tmp_path / "team", "cpu"),
    ):
        pass
    assert not multiprocessing.active_children()


def fail_beside_another(meeting: Path) -> None:
    with assembled(2, wait_for_the_first, meeting, "cpu"):
        raise RuntimeError("of its own")


def wait_for_the_first(team: Team) -> None:
    """Wait for a message that does not come."""
    team.add_up(torch.ones(3))


def fail(team: Team) -> None:
    """End for a reason that the user can do something about."""
    raise UserError("no room for the data")
