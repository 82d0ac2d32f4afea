"""Run jobs on this machine: in worker processes, or in this process if a job needs the machine for itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Lock
from types import TracebackType
from typing import Any, Self

from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Item, Job, Needs, Result
from tckr.engine.executors.relay import Receiver, Relay
from tckr.engine.observer import Listener, Silent
from tckr.errors import UserError
from tckr.process import (
    end_with_parent,
    give_back_memory,
    interrupts_held,
    set_up_process,
    started_worker_context,
    worker_context,
)

WORKER_DIED = (
    "a worker process died before it was done. There are two usual causes. Either memory ran out: lower "
    "execution.workers, batch sizes or the image size, then give the same command again; it continues. Or a Python "
    'script calls tckr.run outside of `if __name__ == "__main__":`. The workers import that script and would run it '
    "again: move the call below that line."
)

AHEAD = 2
"""Items per worker that `map` hands out: one is worked on, and one waits, so that the worker need not wait."""

SECONDS_BETWEEN = 0.2
"""Seconds between two looks for messages of workers."""


class LocalExecutor:
    """Run jobs in processes that share neither libraries nor devices with the parent (`worker_context`).

    The processes are kept for later jobs until `close`, because a new one needs seconds to load the libraries.
    Leaving the `with` block closes the executor; Ctrl-C ends the workers at once.
    """

    def __init__(self, threads_for: Callable[[int], int], max_workers: int = 1, listener: Listener | None = None) -> None:
        """Create an executor without processes; they start with the first job.

        Args:
            threads_for: returns the CPU threads of each process, for a number of processes that `map` uses.
            max_workers: largest number of jobs that ever run at once.
            listener: receives the messages of the jobs.
        """
        self._threads_for, self._max_workers = threads_for, max_workers
        self._listener = listener or Silent()
        self._pool: ProcessPoolExecutor | None = None
        self._num_workers = 0
        self._lifeline: tuple[Connection, Connection] | None = None
        self._receiver = Receiver(self._listener)
        self._told: tuple[Connection, Connection] | None = None
        self._at_work: dict[Future[Any], Needs] = {}

    def __enter__(self) -> Self:
        """Return the executor; processes start with the first job."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the workers: after the running jobs, or at once if the block is left by anything but an error (Ctrl-C)."""
        if self._lifeline is not None and kind is not None and not issubclass(kind, Exception):
            self._lifeline[1].close()
        self.close()

    def adapted(self, execution: ExecutionConfig) -> ExecutionConfig:
        """Return `execution` unchanged: it already describes this machine."""
        return execution

    def expect(self, needs: Iterable[Needs]) -> None:
        """Start the server of the workers if a job will be given to one: it loads the libraries while other jobs run."""
        if not all(each.alone for each in needs):
            with suppress(OSError):  # the job itself reports what is wrong, if there is still something when its turn comes
                started_worker_context()

    def has_room(self, needs: Needs) -> bool:
        """Return whether the shares of the running jobs leave room for this one."""
        return sum(other.share for other in self._at_work.values()) + needs.share <= 1

    def submit(self, job: Job, needs: Needs) -> Future[Any]:
        """Start `job` in a worker. A job that needs the machine for itself is run here before this method returns."""
        future = self._done_here(job, needs.threads) if needs.alone else self._handed_out(job, needs.threads)
        self._at_work[future] = needs
        return future

    def completed(self) -> Iterator[Future[Any]]:
        """Wait until a job is done and yield the finished ones; meanwhile pass on the messages of the others.

        Raises:
            UserError: a worker process died.
        """
        done: set[Future[Any]] = set()
        while self._at_work and not done:
            done, _ = wait_for(self._at_work, SECONDS_BETWEEN, FIRST_COMPLETED)
            while self._told and self._told[0].poll():
                self._receiver.hear(self._told[0].recv())
        for future in [future for future in self._at_work if future in done]:
            del self._at_work[future]
            if isinstance(future.exception(), BrokenProcessPool):
                raise UserError(WORKER_DIED)
            yield future

    def _done_here(self, job: Job, threads: int) -> Future[Any]:
        self.close()  # this job needs the machine's memory and its device
        give_back_memory()
        set_up_process(threads)
        future: Future[Any] = Future()
        future.set_result(job(listener=self._listener, workers=self.map))
        return future

    def _handed_out(self, job: Job, threads: int) -> Future[Any]:
        try:
            with interrupts_held():  # this may start a process
                return self._pool_of(self._max_workers).submit(_work, job, threads)
        except BrokenProcessPool:
            raise UserError(WORKER_DIED) from None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], num_workers: int) -> Iterator[Result]:
        """Yield results of a pure function as they finish, in any order; `function` and items must be picklable.

        Items are taken only as workers need them, one ahead for each: there may be billions.

        Raises:
            UserError: a worker process died.
        """
        pool = self._pool_of(num_workers)
        waiting = iter(items)
        pending: set[Future[Result]] = set()
        try:
            while True:
                for item in islice(waiting, AHEAD * num_workers - len(pending)):
                    with interrupts_held():  # the first items start the processes
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
        """End the workers after their current jobs and items; waiting ones are dropped."""
        self._receiver.close()
        for end in self._told or ():
            end.close()  # so that no worker waits for its messages to be read
        self._told = None
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        for end in self._lifeline or ():
            end.close()
        self._lifeline = None

    def _pool_of(self, num_workers: int) -> ProcessPoolExecutor:
        if self._pool is None or num_workers != self._num_workers:
            self.close()
            context = worker_context()
            self._num_workers = num_workers
            self._lifeline = context.Pipe(duplex=False)
            self._told = context.Pipe(duplex=False)
            given = self._threads_for(num_workers), dict(os.environ), self._lifeline[0], self._told[1], context.Lock()
            self._pool = ProcessPoolExecutor(num_workers, context, _start_worker, given)
        return self._pool


_RELAY: list[Relay] = []
"""The pipe of this worker process. A process receives a pipe when it starts; a job cannot bring one."""


def _start_worker(threads: int, environment: Mapping[str, str], lifeline: Connection, pipe: Connection, lock: Lock) -> None:
    os.environ.clear()  # a fork server still has the variables of its own start
    os.environ.update(environment)
    end_with_parent(lifeline)
    set_up_process(threads)

    def send(message: tuple[Any, ...]) -> None:
        with lock, suppress(OSError):  # the receiver is closed
            pipe.send(message)

    _RELAY.append(Relay(send))


def _work(job: Job, threads: int) -> Any:
    set_up_process(threads)
    return job(listener=_RELAY[0], workers=None)
