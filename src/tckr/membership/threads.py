"""Rate runs in threads: NumPy works outside Python's lock, so that several runs are rated at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tckr.process import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

MIN_RECORDS = 5_000
"""With fewer, NumPy's calls are so short that threads wait for one another."""

MOST_THREADS = 4
"""More would wait for the thread that adds up the other runs."""


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], num_records: int) -> Iterator[Result]:
    """Yield the results in the order of the items, which are taken as results are read, so that few of them wait.

    Threads are used where each item is about so many records that it is worth it.
    """
    threads = min(MOST_THREADS, available_cores())
    if num_records < MIN_RECORDS or threads == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
