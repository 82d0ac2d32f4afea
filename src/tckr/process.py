"""What processes that compute do first, and when they end."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import threading
import warnings
from multiprocessing import util
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any

MEGABYTE = 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of `mallopt` in malloc.h."""
WAIT_POLICY = "OMP_WAIT_POLICY"
"""Environment variable of OpenMP (5.2, chapter 21)."""

LOADED_ONCE = ("torch", "transformers.conversion_mapping", "diffusers.training_utils")
"""Modules that take nearly all of the seconds that a process needs before its first job. None of TCKR's own: a script may
have put another copy of it on its path, which a fork server does not know."""

LONGEST_FOLDER = 80
"""Bytes of the path of the folder for temporary files. A fork server has a socket there; the system allows it 107 in all."""


def worker_context() -> BaseContext:
    """Return how worker processes start: with the libraries loaded by a fork server, or each by itself (spawn).

    The fork server is a process of its own that loads the libraries once and computes nothing; each worker is a fork of it.
    Loading them asks for accelerators, and a driver that was asked does not survive a fork. So workers are spawned on a
    machine that has an accelerator, on other systems than Linux, whose own libraries may not survive it either, and where
    there is no place for the socket of a fork server.
    """
    import torch

    if sys.platform != "linux" or torch.accelerator.is_available() or not _has_place_for_a_socket():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED_ONCE))
    return context


def _has_place_for_a_socket() -> bool:
    try:
        return len(os.fsencode(util.get_temp_dir())) <= LONGEST_FOLDER
    except OSError:  # every folder for temporary files is read-only or full
        return False


def set_up_process(threads: int) -> None:
    """Let torch use `threads` CPU threads in this process and freed memory be used again; silence one notice of torch."""
    import torch  # only processes that compute load it

    torch.set_num_threads(threads)
    # bfloat16 in a RMSNorm with float32 weights: not its fastest kernel
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    _keep_freed_memory()


def wait_without_spinning() -> None:
    """Let the threads of this process and of those that it starts sleep while they wait for one another.

    By default OpenMP's threads spin on their cores first. Beside other programs, the thread that the others wait for then
    does not get a core, and training takes up to eight times as long. It counts only before torch is imported. What the user
    has set stays.
    """
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")


def end_with_parent(*lifelines: Connection) -> None:
    """From now on end this process at once when its parent is gone, even by SIGKILL, or cuts a lifeline.

    Nobody wants its result then.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a process that another one started"

    def watch() -> None:
        wait([parent.sentinel, *lifelines])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MB, until 256 MB lie free at the end of its heap.

    By itself it keeps twice the largest block so far. The tensors of a batch come and go at every layer, and the system
    clears each page that it hands out again. Free blocks below one in use are kept too, until `give_back_memory`; larger
    blocks go back to the system at once. With another C library nothing happens.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * MEGABYTE)
        mallopt(M_TRIM_THRESHOLD, 256 * MEGABYTE)


def give_back_memory() -> None:
    """Give the system all memory that is free in this process: what a step kept is of no use to the next one."""
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_libc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
