"""Processes that train one adapter together: each computes the gradients of its part of every step's images.

All hold the same adapter and optimizer, meet the same draws and add up the same gradients, so they stay equal. The process
that runs the stage is the first of the team and the only one that writes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed

from tckr.errors import UserError

SECONDS_TO_END = 10.0
"""For a process whose connection is lost."""


@dataclass(frozen=True)
class Team:
    """A process among all that train.

    Attributes:
        rank: 0 for the first.
        size: processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """Return this process's part of `count` images; every part has one at least when `count` >= `size`."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def add_up(self, loss: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Replace `gradient` by its sum over the team; return the sum of `loss` []."""
        if self.size > 1:
            distributed.all_reduce(gradient)
            distributed.all_reduce(loss)
        return loss


ALONE = Team()


def team_size(gpus: int, batch_size: int, device: str) -> int:
    """Return how many processes share a training: one per GPU, never more than there are images in a step.

    Raises:
        UserError: torch sees fewer GPUs, or one of them was named.
    """
    if gpus > 1 and device != "cpu":
        available = torch.cuda.device_count()
        if device != "cuda" or gpus > available:
            raise UserError(
                f"execution.gpus={gpus} with execution.device={device}: torch sees {available} CUDA devices here; set "
                f"execution.gpus to at most {max(1, available)} and, for several, execution.device=auto"
            )
    return min(gpus, batch_size)


@contextmanager
def assembled(size: int, help_train: Callable[[Team], None], meeting: Path, device: str) -> Iterator[Team]:
    """Start the rest of a team of `size`, each of which calls `help_train`, and yield this process's place in it.

    Args:
        size: processes; 1 starts none.
        help_train: picklable; returns when the training is over.
        meeting: a file through which the processes find one another.
        device: `cuda` gives process number i the i-th GPU.

    Raises:
        UserError: one of the others died.
    """
    if size == 1:
        yield ALONE
        return
    meeting.unlink(missing_ok=True)  # of a killed team
    start = multiprocessing.get_context("spawn").Process
    others = [
        start(target=_take_part, args=(Team(rank, size), help_train, meeting, device), daemon=True)
        for rank in range(1, size)
    ]
    for other in others:
        other.start()
    try:
        with _connected(Team(0, size), meeting, device):
            yield Team(0, size)
    except RuntimeError as error:  # how a lost connection is reported
        for other in others:
            other.join(SECONDS_TO_END)
        if not any(other.exitcode for other in others):
            raise
        raise UserError(
            f"one of {size} processes that train the adapter together died; its reason is above, unless the system ended it "
            "for want of memory. Set a smaller execution.gpus and give the same command again; it continues"
        ) from error
    finally:
        for other in others:
            other.terminate()  # all are done, or there is nothing left to do
            other.join()


def _take_part(team: Team, help_train: Callable[[Team], None], meeting: Path, device: str) -> None:
    with _connected(team, meeting, device):
        help_train(team)


@contextmanager
def _connected(team: Team, meeting: Path, device: str) -> Iterator[None]:
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(team.rank)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=f"file://{meeting.absolute()}", rank=team.rank, world_size=team.size
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()
