"""Executors run jobs where there is room for them; the interfaces of executors and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, Self, TypeVar

from tckr.engine.execution import ExecutionConfig
from tckr.engine.observer import Listener
from tckr.engine.step import Workers
from tckr.process import Gang

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The resources that a job needs.

    Attributes:
        share: share of one machine, including its memory, in (0, 1]; 1 = the machine for itself.
        threads: CPU threads that the job computes with.
        device: whether the job computes on a GPU if there is one.
        together: processes that train one model in the job, with a GPU each.
    """

    share: Fraction
    threads: int
    device: bool = True
    together: int = 1

    @property
    def alone(self) -> bool:
        """Return whether the job needs a machine for itself."""
        return self.share == 1


class Job(Protocol):
    """A picklable function. It receives a listener, processes to map over if it has a machine for itself, and a gang if
    it `needs` several processes together that may be on several machines."""

    def __call__(self, *, listener: Listener, workers: Workers | None, gang: Gang | None = None) -> Any:
        """Do the work and return a picklable result."""


class Executor(Protocol):
    """Decides where jobs run. Used in a `with` block: leaving the block ends the running jobs."""

    def adapted(self, execution: ExecutionConfig) -> ExecutionConfig:
        """Return `execution` as jobs receive it: if it names no number of workers, with the number that there is."""

    def expect(self, needs: Iterable[Needs]) -> None:
        """Get ready for jobs with these needs, all that will be submitted unless one fails."""

    def has_room(self, needs: Needs) -> bool:
        """Return whether a job with these needs would start at once; always true when no job is running."""

    def submit(self, job: Job, needs: Needs) -> Future[Any]:
        """Start `job` and return the future of its result."""

    def completed(self) -> Iterator[Future[Any]]:
        """Wait until a submitted job is done and yield the finished ones, each once; yield nothing if no job is running.

        Raises:
            UserError: a worker died, and its job cannot be started again.
        """

    def __enter__(self) -> Self:
        """Return the executor."""

    def __exit__(self, *error: Any) -> None:
        """End the workers: after the running jobs, or at once if the block is left by anything but an error (Ctrl-C)."""
