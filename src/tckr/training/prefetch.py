"""Prepare the next items of an iterator on a thread while the device works on the present one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

Item = TypeVar("Item")

AHEAD = 2
"""Items that wait: one being used up is replaced while the other is at hand."""


@dataclass(frozen=True)
class _End:
    """The end of the items, by the error that ended them if there was one."""

    error: BaseException | None = None


def prefetched(items: Iterator[Item], device: str) -> Generator[Item]:
    """Yield the items in their order, made on one thread while the device computes; at most AHEAD are waiting.

    On a CPU there is no such device: a second thread, with compute threads of its own, would take the cores that train.
    An error of `items` is raised here. When the caller stops early, the thread stops after the item in hand.
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
        while not ready.empty():  # whoever waits for a place finds one
            ready.get()
        thread.join()


def _fill(items: Iterator[Item], ready: queue.Queue[Item | _End], stopped: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if stopped.is_set():
                return
            ready.put(item)
    except BaseException as error:  # raised again by the thread that wants the items
        end = _End(error)
    ready.put(end)
