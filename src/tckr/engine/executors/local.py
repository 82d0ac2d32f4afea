"""Map over processes of this machine, each with its share of the CPU threads."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from tckr.engine.executors import Item, Result
from tckr.errors import UserError
from tckr.process import end_with_parent, set_up_process

WORKER_DIED = (
    "a worker process died before it was done. Either memory ran out: lower execution.workers, batch sizes or the "
    "image size, then give the same command again; it continues. Or a Python script calls tckr.run outside of `if "
    '__name__ == "__main__":`, which the workers, importing that script, would run again: put the call below that '
    "line."
)

AHEAD = 2
"""Items per worker that are handed out: one at work, one waiting so that the worker does not."""


class LocalExecutor:
    """Processes started afresh (spawn): nothing of the parent's libraries or devices is shared.

    They stay for the next map of as many workers, because each needs seconds to load the libraries, until `close`.
    Leaving its `with` block closes it; leaving it by Ctrl-C ends the workers at once.
    """

    def __init__(self, threads_for: Callable[[int], int]) -> None:
        """Take the rule that gives the CPU threads of each of so many workers."""
        self._threads_for = threads_for
        self._pool: ProcessPoolExecutor | None = None
        self._num_workers = 0
        self._lifeline: tuple[Connection, Connection] | None = None

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the workers: after the items in flight, or at once when it is no error that ends the block (Ctrl-C)."""
        if self._lifeline is not None and kind is not None and not issubclass(kind, Exception):
            self._lifeline[1].close()
        self.close()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], num_workers: int) -> Iterator[Result]:
        """Yield results as they finish; `function` and items must be picklable.

        Items are taken as workers need them, one ahead for each: there may be billions.

        Raises:
            UserError: a worker process died.
        """
        pool = self._pool_of(num_workers)
        waiting = iter(items)
        pending: set[Future[Result]] = set()
        try:
            while True:
                for item in islice(waiting, AHEAD * num_workers - len(pending)):
                    with _interrupts_held():  # the first items start the processes
                        pending.add(pool.submit(function, item))
                if not pending:
                    return
                done, pending = wait_for(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            self.close()
            raise UserError(WORKER_DIED) from None

    def close(self) -> None:
        """End the workers after the items in flight; what waits is dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        for end in self._lifeline or ():
            end.close()
        self._lifeline = None

    def _pool_of(self, num_workers: int) -> ProcessPoolExecutor:
        if self._pool is None or num_workers != self._num_workers:
            self.close()
            context = multiprocessing.get_context("spawn")
            self._num_workers = num_workers
            self._lifeline = context.Pipe(duplex=False)
            given = self._threads_for(num_workers), self._lifeline[0]
            self._pool = ProcessPoolExecutor(num_workers, context, _start_worker, given)
        return self._pool


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while processes start. They inherit that for life: a terminal sends it to them too, and a worker
    that caught it would begin its next item.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(threads: int, lifeline: Connection) -> None:
    end_with_parent(lifeline)
    set_up_process(threads)
