"""Prepare the next items of an iterator on a thread while the device works on the current one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

Item = TypeVar("Item")

AHEAD = 2
"""Prepared items that may wait: one is consumed while the other is ready."""


@dataclass(frozen=True)
class _End:
    """Mark the end of the items; `error` is the exception that ended them, if there was one."""

    error: BaseException | None = None


def prefetched(items: Iterator[Item], device: str) -> Generator[Item]:
    """Yield the items in their order, prepared on one thread while the device computes; at most AHEAD items wait.

    On a CPU the items are made without a thread: its compute threads would compete with the training for the cores.
    An error of `items` is raised here. When the caller stops early, the thread stops after the current item.
    """
    if torch.device(device).type == "cpu":
        yield from items
        return
    ready: queue.Queue[Item | _End] = queue.Queue(AHEAD)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, ready, stopped), name="prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        while not ready.empty():  # so that a thread that waits for a free place continues
            ready.get()
        thread.join()


def _fill(items: Iterator[Item], ready: queue.Queue[Item | _End], stopped: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if stopped.is_set():
                return
            ready.put(item)
    except BaseException as error:  # the consuming thread raises it again
        end = _End(error)
    ready.put(end)
