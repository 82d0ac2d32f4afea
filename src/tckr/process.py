"""Set up worker processes: how they start, their threads and memory, and how they end."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Protocol

Tell = Callable[[Any], None]
"""Sends something small and picklable to the process that started this one."""

Address = tuple[str, int]
"""Host and port."""

MEGABYTE = 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, from malloc.h."""
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}
"""Environment variables that the command line sets before torch is imported: how threads of OpenMP wait for one another
(OpenMP 5.2, chapter 21), and how often a thread of GNU's library checks before it sleeps, about 0.1 ms."""
OTHER_WAITING = ("KMP_BLOCKTIME",)
"""The same for the libraries of LLVM and Intel."""

LOADED_ONCE = ("torch", "transformers.conversion_mapping", "diffusers.training_utils")
"""Modules whose import takes nearly all of the start-up time of a worker process. TCKR itself is not among them: a script
may have put another copy of it on its path, which the fork server would not see."""

LONGEST_FOLDER = 80
"""Maximum length in bytes of the path of the folder for temporary files. A fork server creates a socket there, whose path
may have 107 bytes on Linux."""


class Gang(Protocol):
    """Runs a function in several processes at once, which may be on several machines; each sees one GPU, its own."""

    def __call__(self, function: Callable[[int, Address, Tell], object], size: int, hear: Callable[[Any], object]) -> None:
        """Call `function(rank, address, tell)` in `size` processes; return when all are done. `hear` gets what they tell.

        `address` is a free port on the machine of the first process (rank 0). The error of the first process that fails or
        dies is raised, after the others were ended.
        """
        ...


def worker_context() -> BaseContext:
    """Return how worker processes start: forked from a server that has loaded the libraries, or spawned.

    The fork server is a separate process that loads the libraries once and computes nothing; each worker is a fork of it.
    Loading the libraries initialises accelerator drivers, which do not survive a fork. Workers are therefore spawned on a
    machine with an accelerator. They are also spawned on systems other than Linux, whose system libraries may not survive a
    fork, and where the socket of the fork server has no place.
    """
    import torch

    if sys.platform != "linux" or torch.accelerator.is_available() or not _has_place_for_a_socket():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED_ONCE))
    return context


def started_worker_context() -> BaseContext:
    """Return `worker_context()`, with its fork server started in such a way that its forks have Ctrl-C blocked."""
    context = worker_context()
    if context.get_start_method() == "forkserver":
        with interrupts_held():
            forkserver.ensure_running()
    return context


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Block Ctrl-C while processes start. They keep it blocked for their lifetime: a terminal sends it to them as well,
    and a worker that caught it would start its next item.
    """
    resource_tracker.ensure_running()  # its start lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _has_place_for_a_socket() -> bool:
    try:
        return len(os.fsencode(util.get_temp_dir())) <= LONGEST_FOLDER
    except OSError:  # every folder for temporary files is read-only or full
        return False


def set_up_process(threads: int) -> None:
    """Set the number of CPU threads of torch in this process, keep freed memory for reuse, and hide two of its warnings."""
    import torch  # imported only in processes that compute

    torch.set_num_threads(threads)
    # torch warns that bfloat16 input of an RMSNorm with float32 weights does not use its fastest kernel
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    # under a formal guarantee: a layer whose input needs no gradient, such as that of the prompts, has no gradient of its
    # input to give to the hooks of Opacus, which use only that of its output
    warnings.filterwarnings("ignore", message="Full backward hook is firing when gradients are computed with respect to mod")
    _keep_freed_memory()


def limit_spinning() -> None:
    """Make OpenMP threads of this process and its children sleep when they have waited for one another for about 0.1 ms.

    By default these threads keep their cores while they wait, for 3 ms (GNU) or 200 ms (LLVM). If other programs run, the
    thread that the others wait for then gets no core, and training takes up to eight times as long. Sleeping at once costs
    a small network a third of its speed on a quiet machine, because most waits are shorter than falling asleep and waking
    up. This must be called before torch is imported. If the user has set one of the variables, none is changed.
    """
    if not any(name in os.environ for name in (*WAITING, *OTHER_WAITING)):
        os.environ.update(WAITING)


def end_with_parent(*lifelines: Connection) -> None:
    """Make this process exit at once when its parent dies, even by SIGKILL, or closes a lifeline.

    The result of the process is then of no use.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a process that another one started"

    def watch() -> None:
        wait([parent.sentinel, *lifelines])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB, up to a total of 256 MB free memory at the end of its heap.

    By default glibc keeps twice the size of the largest block so far. The tensors of a batch are allocated and freed at
    every layer, and the system clears each page that it hands out again. Free blocks below a used block are kept too, until
    `give_back_memory`; larger blocks are returned to the system at once. With another C library this does nothing.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * MEGABYTE)
        mallopt(M_TRIM_THRESHOLD, 256 * MEGABYTE)


def give_back_memory() -> None:
    """Return all free memory of this process to the system, because the next step cannot reuse it well."""
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def available_cores() -> int:
    """Return the CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _of_libc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
