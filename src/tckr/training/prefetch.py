"""Prepare the next items of an iterator on a thread while the caller works on the present one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

AHEAD = 2
"""Items that wait: one being used up is replaced while the other is at hand."""


@dataclass(frozen=True)
class _End:
    """The end of the items, by the error that ended them if there was one."""

    error: BaseException | None = None


def prefetched(items: Iterator[Item]) -> Generator[Item]:
    """Yield the items in their order, made on one thread; at most AHEAD are waiting.

    An error of `items` is raised here. When the caller stops early, the thread stops after the item in hand.
    """
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
