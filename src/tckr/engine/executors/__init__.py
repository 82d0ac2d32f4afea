"""Executors map a pure function over independent items; they know neither steps nor stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """The seam between what is computed and where."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], num_workers: int) -> Iterator[Result]:
        """Yield results as they finish, in any order; raise the first error after the items in flight ended."""
        ...
