"""Processes that train one model together: each computes the gradients of its share of every step's images.

All hold the same model and optimizer, meet the same draws and add up the same gradients, so they stay equal. The process
that runs the stage is the first of the team and the only one that writes. Knows neither model nor data.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch
from torch import distributed

from tckr.data.seeds import derive_seed
from tckr.errors import UserError, printable
from tckr.process import end_with_parent, set_up_process

SECONDS_TO_END = 10.0
"""For a process whose connection is lost."""

SECONDS_TO_SPEAK = 3.0
"""Before a process tells of a lost connection."""

DIED = (
    "one of the processes that train together died before the training was over. Its reason is above, unless the "
    "system ended it for want of memory: then set a smaller execution.gpus. The same command goes on from the last "
    'checkpoint. A Python script that calls tckr.run must do so below `if __name__ == "__main__":`, because the other '
    "processes import it."
)


@dataclass(frozen=True)
class Team:
    """One process of those that share a training.

    Attributes:
        rank: number of the process; 0 for the first.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """Return this process's part of `count` images; if `count` >= `size`, every part has at least one."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def add_up(self, *tensors: torch.Tensor) -> None:
        """Replace each of `tensors`, all of one type on one device, by its sum over the team; they travel as one message."""
        if self.size == 1:
            return
        message = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(message)
        for tensor, total in zip(tensors, message.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def own_seed(self, seed: int) -> int:
        """Return the seed of random numbers for this share alone (dropout's); the first process uses `seed` itself."""
        return derive_seed(seed, "process", self.rank) if self.rank else seed

    def device(self, device: str) -> str:
        """Return the torch device name of this process, if `device` is that of the first one."""
        return f"{device}:{self.rank}" if self.rank and device != "cpu" else device


ALONE = Team()


def team_size(gpus: int, num_images: int, device: str) -> int:
    """Return the number of processes that share a training: one per GPU, at most the `num_images` of its smallest step.

    Raises:
        UserError: torch finds fewer GPUs, or the device names one of them.
    """
    if gpus > 1 and device != "cpu":
        available = torch.cuda.device_count()
        if device != "cuda" or gpus > available:
            raise UserError(
                f"execution.gpus={gpus} with execution.device={device}: torch sees {available} CUDA devices here; set "
                f"execution.gpus to at most {max(1, available)} and, for several, execution.device=auto"
            )
    return min(gpus, num_images)


@contextmanager
def assembled(size: int, help_train: Callable[[Team], object], meeting: Path, device: str) -> Iterator[Team]:
    """Start the rest of a team of `size`, each of which calls `help_train`, and yield this process's place in it.

    When one of the others dies and this process waits for it in vain (as NCCL does), this process ends with a message.

    Args:
        size: processes; 1 starts none.
        help_train: picklable; returns when the training is over.
        meeting: path of a file through which the processes find one another; each team adds a name of its own, because
            those of a killed team may live on for a moment.
        device: `cuda` gives process number i the i-th GPU.

    Raises:
        UserError: one of the others died.
    """
    if size == 1:
        yield ALONE
        return
    meeting = meeting.with_name(f"{meeting.name}-{uuid.uuid4().hex}")
    before = torch.get_num_threads()
    threads = max(1, before // size)
    start = multiprocessing.get_context("spawn").Process
    others = [
        start(target=_take_part, args=(Team(rank, size), help_train, meeting, device, threads), daemon=True)
        for rank in range(1, size)
    ]
    torch.set_num_threads(threads)
    try:
        for other in others:
            other.start()
        with _watched(others), _connected(Team(0, size), others, meeting, device):
            yield Team(0, size)
    finally:
        torch.set_num_threads(before)
        for other in others:
            if other.pid is not None:
                other.terminate()  # all are done, or there is nothing left to do
                other.join()
        meeting.unlink(missing_ok=True)


@contextmanager
def _explained(others: Sequence[SpawnProcess]) -> Iterator[None]:
    """Tell a connection that is lost because one of `others` died from an error of this process's own."""
    try:
        yield
    except RuntimeError as error:  # how torch reports a lost connection, and much else
        if not others:
            raise
        wait([other.sentinel for other in others], SECONDS_TO_END)
        for other in others:
            other.join(1)  # its pipe closes a moment before its exit status is known
        if not any(other.exitcode for other in others):
            raise
        raise UserError(DIED) from error


@contextmanager
def _watched(others: Sequence[SpawnProcess]) -> Iterator[None]:
    """End this process with a message when one of `others` has died and nothing here notices.

    Before they are connected, and on GPUs, a process waits for a dead one for many minutes, out of reach of exceptions.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if any(other.exitcode for other in others) and not over.wait(SECONDS_TO_END):
                sys.stderr.write(f"error: {DIED}\n")
                sys.stderr.flush()
                os._exit(2)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _take_part(team: Team, help_train: Callable[[Team], object], meeting: Path, device: str, threads: int) -> None:
    end_with_parent()
    set_up_process(threads)
    try:
        with _connected(team, (), meeting, device):
            help_train(team)
    except UserError as error:
        raise SystemExit(printable(f"process {team.rank + 1} of {team.size}: {error}")) from None  # without a traceback
    except RuntimeError:
        time.sleep(SECONDS_TO_SPEAK)  # if the first process ended the connection, it ends this one now
        raise


@contextmanager
def _connected(team: Team, others: Sequence[SpawnProcess], meeting: Path, device: str) -> Iterator[None]:
    """Connect the team; the first process gives `others`, to explain with their end what goes wrong."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(team.rank)
    with _explained(others):
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo", init_method=f"file://{meeting.absolute()}", rank=team.rank, world_size=team.size
        )
    try:
        with _explained(others):  # while this process is still connected: the others live unless they died
            yield
    finally:
        distributed.destroy_process_group()
