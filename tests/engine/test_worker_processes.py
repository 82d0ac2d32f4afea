"""How worker processes start: set up, with the libraries loaded, deaf to Ctrl-C, and where a fork could break, spawned."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker, util

import pytest
import torch

from tckr import process as process_module
from tckr.engine.executors.local import LocalExecutor
from tckr.engine.observer import Silent
from tckr.process import worker_context
from tests.engine.fakes import step
from tests.engine.test_runner import chain, runner


def test_workers_are_set_up():
    with LocalExecutor(lambda num_workers: 10 + num_workers) as executor:
        assert list(executor.map(count_threads, [None], 2)) == [12]


def count_threads(nothing):
    return torch.get_num_threads()


def _seconds_of_this_process(_: int) -> float:
    return time.process_time()


@pytest.mark.skipif(worker_context().get_start_method() == "spawn", reason="workers are spawned here")
def test_a_worker_finds_the_libraries_loaded():
    """To load them takes some five seconds of CPU time."""
    with LocalExecutor(lambda num_workers: 1) as executor:
        assert max(executor.map(_seconds_of_this_process, [1, 2], 2)) < 0.7


@pytest.mark.skipif(worker_context().get_start_method() == "spawn", reason="workers are spawned here")
@pytest.mark.parametrize("kind", ["peers", "one after another", "peers complete", "no server can start"])
def test_the_server_of_the_workers_loads_the_libraries_while_the_first_step_runs_if_one_needs_it(
    tmp_path, kind, monkeypatch
):
    server = forkserver.ForkServer()  # not running yet
    for name in ("ensure_running", "set_forkserver_preload"):
        monkeypatch.setattr(forkserver, name, getattr(server, name))
    monkeypatch.setattr(process_module, "LOADED_ONCE", ())
    first, *others = chain(tmp_path)
    if kind != "one after another":
        others = [step(f"leaf.{seed}", stage="leaf", seed=seed, source=first) for seed in (1, 2)]
    if kind == "peers complete":
        runner(tmp_path).run([first, *others])
        others.append(step("end", source=others[0]))
    if kind == "no server can start":
        monkeypatch.setattr(forkserver, "ensure_running", _refuse)
    observer = Silent()
    observer.started = lambda _: _end(server)
    with pytest.raises(_EndedError) as ended:
        replace(runner(tmp_path, workers=2), observer=observer).run([first, *others])
    assert ended.value.args == (kind == "peers",)


class _EndedError(Exception):
    """Raised when the first step of a run would start; says whether a server of the workers is running then."""


def _end(server: forkserver.ForkServer) -> None:
    is_running = server._forkserver_pid is not None
    server._stop()
    raise _EndedError(is_running)


def _refuse() -> str:
    raise FileNotFoundError("no usable temporary directory found")


@pytest.mark.parametrize("why", ["accelerator", "system", "long path", "full disk"])
def test_workers_are_spawned_where_a_fork_could_break(why, monkeypatch):
    """A device's driver does not survive a fork, macOS allows none, and a fork server needs a socket."""
    if why == "accelerator":
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    elif why == "system":
        monkeypatch.setattr(sys, "platform", "darwin")
    elif why == "long path":
        monkeypatch.setattr(util, "get_temp_dir", lambda: "/" + 80 * "x")
    else:
        monkeypatch.setattr(util, "get_temp_dir", _refuse)
    assert worker_context().get_start_method() == "spawn"


def _held_signals(_: int) -> set[int]:
    return {int(held) for held in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def test_no_worker_hears_ctrl_c(monkeypatch):
    monkeypatch.setattr(resource_tracker, "_resource_tracker", resource_tracker.ResourceTracker())  # not running yet
    monkeypatch.setattr(resource_tracker, "ensure_running", resource_tracker._resource_tracker.ensure_running)
    with LocalExecutor(lambda num_workers: 1) as executor:
        assert signal.SIGINT in next(iter(executor.map(_held_signals, [1], 1)))


def _variables(names: Sequence[str]) -> list[str | None]:
    return [os.environ.get(name) for name in names]


def test_workers_have_the_environment_of_the_moment_they_start(monkeypatch):
    for name, other in (("TCKR_ONE", "TCKR_TWO"), ("TCKR_TWO", "TCKR_ONE")):
        monkeypatch.setenv(name, "set")
        monkeypatch.delenv(other, raising=False)
        with LocalExecutor(lambda num_workers: 1) as executor:
            assert list(executor.map(_variables, [(name, other)], 1)) == [["set", None]]
