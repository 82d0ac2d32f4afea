"""Processes that train one model together. torch's elastic launcher starts them; DistributedDataParallel adds gradients up.

Each process computes the gradients of its share of every step's images. All have the same model, optimizer and random
numbers, so they stay equal. Only the first one writes. If one dies, all start again from the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import uuid
from _thread import interrupt_main
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.distributed.fsdp import fully_shard
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from tckr.data.seeds import derive_seed
from tckr.errors import UserError
from tckr.process import Address, Gang, Tell, end_with_parent, set_up_process, started_worker_context

RESTARTS = 3
"""Maximum number of restarts of all processes, after one died."""

MOST_CHARACTERS = 800
"""Maximum length of an error message: a pipe transfers a message of up to 4096 bytes at once."""

SECONDS_BETWEEN = 0.5
"""Seconds between two checks of the launcher on its processes."""


@dataclass(frozen=True)
class Team:
    """One of the processes that share a training.

    Attributes:
        rank: number of the process; 0 for the first.
        size: number of processes.
        sees_own_gpu: whether the process sees no GPU but its own.
    """

    rank: int = 0
    size: int = 1
    sees_own_gpu: bool = False

    def share(self, count: int) -> slice:
        """Return this process's part of `count` images; if `count` >= `size`, every part has at least one."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def joined(self, module: nn.Module, *, may_skip: bool = False) -> nn.Module:
        """Return the module to call instead of `module`, so that gradients are means over all processes.

        Args:
            module: on the device of this process.
            may_skip: whether a forward pass may leave parameters unused.
        """
        if self.size == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=may_skip)

    def divide(self, module: nn.Module, blocks: Iterable[nn.Module], own: Iterable[nn.Parameter], device: str) -> None:
        """Leave each process an equal part of every weight of `module` (FSDP2); a block gathers its weights to compute.

        All processes must call `module` equally often. Gradients of `own` parameters are not added up.

        Args:
            module: in the memory of the machine; its parts move to `device` one after another.
            blocks: parts of `module`, inner ones before those that contain them.
            own: parameters that every process keeps in whole, on `device` already.
            device: torch device name of this process.
        """
        mesh, whole = init_device_mesh(torch.device(device).type, (self.size,)), set(own)
        for part in (*blocks, module):
            fully_shard(part, mesh=mesh, ignored_params=whole)

    def count(self, *numbers: torch.Tensor) -> None:
        """Replace each of `numbers` by its sum over the processes."""
        if self.size > 1:
            for number in numbers:
                distributed.all_reduce(number)

    def own_seed(self, seed: int) -> int:
        """Return the seed of random numbers for this share alone (dropout's); the first process uses `seed` itself."""
        return derive_seed(seed, "process", self.rank) if self.rank else seed

    def device(self, device: str) -> str:
        """Return the torch device name of this process, if `device` is that of the first one."""
        return device if device == "cpu" or self.sees_own_gpu or not self.rank else f"{device}:{self.rank}"


ALONE = Team()


def team_size(gpus: int, num_images: int, device: str, gang: Gang | None = None) -> int:
    """Return the number of processes that share a training: one per GPU, at most the `num_images` of its smallest step.

    A `gang` has its GPUs reserved, on any machine.

    Raises:
        UserError: torch finds fewer GPUs, or the device names one of them.
    """
    if gang is None and gpus > 1 and device != "cpu":
        available = torch.cuda.device_count()
        if device != "cuda" or gpus > available:
            raise UserError(
                f"execution.gpus={gpus} with execution.device={device}: torch sees {available} CUDA devices here; set "
                f"execution.gpus to at most {max(1, available)} and, for several, execution.device=auto"
            )
    return min(gpus, num_images)


class BeginAgain(Exception):  # noqa: N818 - it is no error
    """Raised in one process so that all begin again: it has stored what they must do otherwise. Not counted as a death."""


def train_together(
    size: int,
    train: Callable[[Team, Tell], object],
    device: str,
    hear: Callable[[Any], object],
    *,
    backend: str | None = None,
    gang: Gang | None = None,
) -> None:
    """Call `train` in `size` processes. If one dies, call it again in all of them; it continues from its checkpoint.

    Args:
        size: number of processes.
        train: picklable; writes its result into files. Messages of the first process reach `hear`.
        device: `cuda` gives process number i the i-th GPU.
        hear: called with each message of the first process, on a thread.
        backend: of torch.distributed; None selects NCCL on GPUs (one for each process), otherwise gloo.
        gang: starts the processes instead of torch's launcher, which starts them on this machine only.

    Raises:
        UserError: one of the processes raised it, or processes died too often.
    """
    if gang is not None:
        member = partial(_be_member, size=size, train=train, device=device, backend=backend)
        call = partial(_train_in_gang, gang, member, size, hear)
    else:
        call = partial(_train_here, size, train, (device, backend), hear)
    while True:
        with suppress(BeginAgain):
            call()
            return


def _train_here(
    size: int, train: Callable[[Team, Tell], object], where: tuple[str, str | None], hear: Callable[[Any], object]
) -> None:
    """Let torch's launcher call `train` in processes of this machine, and again when one died."""
    context = started_worker_context()
    heard, told = context.Pipe(duplex=False)
    final: list[Exception] = []
    failures: dict[str, str] = {}
    threads = max(1, torch.get_num_threads() // size)
    folder = TemporaryDirectory(prefix="tckr-")  # for the launcher, which does not remove its own folder
    config = _launch_config(size, context.get_start_method(), folder.name)
    with folder, heard, told, _quiet():
        try:
            with _listening(heard, told, hear, final, failures):
                elastic_launch(config, _take_part)(train, told, where, threads, dict(os.environ))
        except ChildFailedError as error:
            if not final:
                raise UserError(_explanation(failures.get(str(RESTARTS)) or _reason(error), size)) from None
        except SignalException as error:  # the launcher catches signals, to end its processes first
            if not final:
                raise (KeyboardInterrupt if error.sigval == signal.SIGINT else SystemExit)(error.sigval) from None
    if final:  # an error of `hear` counts more than a process that asks to begin again, which may have come before
        raise next((error for error in final if not isinstance(error, BeginAgain)), final[0])


def _launch_config(size: int, start_method: str, folder: str) -> LaunchConfig:
    """Return how the launcher starts `size` processes on this machine."""
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=size,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=RESTARTS,
        monitor_interval=SECONDS_BETWEEN,
        start_method=start_method,
        logs_specs=DefaultLogsSpecs(log_dir=folder),
    )


def _reason(error: ChildFailedError) -> str:
    """Return what the launcher reports about a process that sent no error."""
    _, failure = error.get_first_failure()
    return f"it ended with exit code {failure.exitcode}"


def _explanation(reason: str, size: int) -> str:
    short = " ".join(reason.split())[:300]
    return (
        f"the {size} processes that train one model died {RESTARTS + 1} times. The last error: {short}. If the memory of "
        "the machine ran out, set a smaller execution.gpus; if that of a GPU ran out, lower the batch size. A Python script "
        'must call tckr.run below `if __name__ == "__main__":`, because the processes import it. The same command continues '
        "from the last checkpoint"
    )


@record
def _take_part(
    train: Callable[[Team, Tell], object],
    told: Connection,
    where: tuple[str, str | None],
    threads: int,
    environment: Mapping[str, str],
) -> None:
    for name, value in environment.items():
        os.environ.setdefault(name, value)  # a fork server has the variables of its start; those of the launcher are kept
    end_with_parent()
    set_up_process(threads)
    team, (device, backend) = Team(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])), where
    store = _meeting_place()
    if not _is_heard(team, store, told):
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(team.rank % torch.cuda.device_count())
    with _joined(team, store, device, backend):
        try:
            train(team, (lambda what: told.send(("told", what))) if team.rank == 0 else _tell_nobody)
        except UserError as error:  # sent before the other processes lose their connections and report that
            told.send(("refused", str(error)[:MOST_CHARACTERS]))
        except BeginAgain:
            told.send(("again", ""))
        except Exception as error:
            told.send((os.environ["TORCHELASTIC_RESTART_COUNT"], f"{type(error).__name__}: {error}"[:MOST_CHARACTERS]))
            raise


def _train_in_gang(
    gang: Gang, member: Callable[[int, Address, Tell], object], size: int, hear: Callable[[Any], object]
) -> None:
    """Let `gang` call `member`, and again in new processes when one died or failed."""
    reason, final = "", []

    def listen(what: Any) -> None:
        try:
            hear(what)
        except Exception as error:
            final.append(error)
            raise

    for _ in range(RESTARTS + 1):
        try:
            gang(member, size, listen)
            return
        except (UserError, BeginAgain):
            raise
        except Exception as error:
            if final:  # not of a process; new ones would tell the same
                raise
            reason = f"{type(error).__name__}: {error}"
    raise UserError(_explanation(reason, size))


def _be_member(
    rank: int,
    address: Address,
    tell: Tell,
    *,
    size: int,
    train: Callable[[Team, Tell], object],
    device: str,
    backend: str | None,
) -> None:
    team = Team(rank, size, sees_own_gpu=True)
    store = distributed.TCPStore(*address, is_master=rank == 0, wait_for_workers=False)
    with _joined(team, store, device, backend):
        train(team, tell if rank == 0 else _tell_nobody)


@contextmanager
def _joined(team: Team, store: distributed.Store, device: str, backend: str | None) -> Iterator[None]:
    """Join torch's process group during the block.

    After an error it is left only when the process ends: the others would fail too, and perhaps be heard first.
    """
    backend = backend or ("nccl" if device.startswith("cuda") else "gloo")
    distributed.init_process_group(backend, store=store, rank=team.rank, world_size=team.size)
    distributed.barrier()  # nobody fails while others still look for it
    yield
    distributed.destroy_process_group()


def _tell_nobody(what: Any) -> None:
    """Ignore a message: only the first process reports progress."""


def _meeting_place() -> distributed.Store:
    """Return the launcher's store, with a separate name for every attempt.

    The launcher keeps one store for all attempts, which would still contain the addresses of processes that died.
    """
    store = distributed.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    return distributed.PrefixStore(f"attempt-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


def _is_heard(team: Team, store: distributed.Store, told: Connection) -> bool:
    """Return in every process of an attempt whether the first one found that somebody still reads its messages."""
    if team.rank == 0:
        poll = select.poll()
        poll.register(told, 0)  # to be told only that the other end is closed
        store.set("heard", "no" if poll.poll(0) else "yes")
    return store.get("heard") == b"yes"


@contextmanager
def _listening(
    heard: Connection, told: Connection, hear: Callable[[Any], object], final: list[Exception], failures: dict[str, str]
) -> Iterator[None]:
    """Pass on messages of the processes until the block ends, including all that they had sent by then.

    `failures` receives the first error of each attempt, because the errors of other processes follow from it. `final`
    receives what ends all attempts: a UserError or BeginAgain of a process, or an error of `hear`. The first one interrupts
    the launcher, if it runs on the main thread. On another one, an error of `hear` closes the pipe, so that the next message
    of the first process ends it; the processes that the launcher starts instead return at once (`_is_heard`). The pipe has
    no lock, which a killed process would never release: the system writes a short message at once or not at all.
    """
    interrupts = threading.current_thread() is threading.main_thread()  # only there, the launcher catches signals

    def receive(kind: str, what: Any) -> None:
        if kind == "told":
            hear(what)
        elif kind == "refused":
            raise UserError(what)
        elif kind == "again":
            raise BeginAgain
        else:
            failures.setdefault(kind, what)

    def listen() -> None:
        while (message := heard.recv()) is not None:
            kind, what = message
            try:
                receive(kind, what)
            except Exception as error:  # the next messages are still read: no process may wait because the pipe is full
                final.append(error)
                if interrupts and len(final) == 1:
                    interrupt_main(signal.SIGTERM)
                if kind == "told" and not interrupts:
                    heard.close()
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        with suppress(BrokenPipeError):  # the listener has ended
            told.send(None)
        listener.join()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the launcher from writing its own tables of failures; the error contains the same information."""
    loggers = [logging.getLogger(name) for name in ("torch.distributed.elastic", "torch.multiprocessing.spawn")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
