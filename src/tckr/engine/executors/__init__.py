"""Executors run jobs where there is room for them; they know neither steps nor stages."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, Self, TypeVar

from tckr.engine.execution import ExecutionConfig
from tckr.engine.observer import Listener
from tckr.engine.step import Workers

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a job needs.

    Attributes:
        share: of one machine, its memory included; 1 = the machine for itself.
        threads: CPU threads that the job computes with.
        device: whether it computes on a GPU where there is one.
    """

    share: Fraction
    threads: int
    device: bool = True

    @property
    def alone(self) -> bool:
        """Return whether the job wants a machine for itself."""
        return self.share == 1


class Job(Protocol):
    """A picklable function. It is given whom to tell, and processes to map over if it has a machine for itself."""

    def __call__(self, *, listener: Listener, workers: Workers | None) -> Any:
        """Do the work and return a picklable result."""


class Executor(Protocol):
    """The seam between what is computed and where. Used in a `with` block: leaving it ends what is at work."""

    def adapted(self, execution: ExecutionConfig) -> ExecutionConfig:
        """Return `execution` as jobs are to be given it: with the workers that there are, where none are named."""

    def has_room(self, needs: Needs) -> bool:
        """Return whether a job with these needs would begin at once; always true when nothing is at work."""

    def submit(self, job: Job, needs: Needs) -> Future[Any]:
        """Begin `job` and return the future of its result."""

    def completed(self) -> Iterator[Future[Any]]:
        """Wait until a submitted job is done and yield those that are, each once; nothing where nothing is at work.

        Raises:
            UserError: a worker died, and its job cannot be begun anew.
        """

    def __enter__(self) -> Self:
        """Start nothing yet."""

    def __exit__(self, *error: Any) -> None:
        """End the workers: after the jobs in flight, or at once when it is no error that ends the block (Ctrl-C)."""
