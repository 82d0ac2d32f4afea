"""Progress of each running step, and its remaining time at its present rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Count:
    """Progress of a step; `first` units were already done when it started at time `start`."""

    unit: str
    total: int
    first: int
    done: int
    start: float

    def seconds_left(self, now: float) -> float:
        """Return the seconds that the rest takes at the present rate."""
        return (now - self.start) * max(0, self.total - self.done) / (self.done - self.first)


class Counts:
    """The progress of the running steps, by name."""

    def __init__(self) -> None:
        """Start without steps."""
        self._now: dict[str, Count] = {}

    @contextmanager
    def open(self, label: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Count until the block ends; the yielded function advances the count."""
        self._now[label] = count = Count(unit=unit, total=total, first=done, done=done, start=time.monotonic())

        def advance(amount: int) -> None:
            count.done += amount

        try:
            yield advance
        finally:
            self._now.pop(label, None)

    def at_work(self) -> str:
        """Return the progress of each step as text."""
        return ", ".join(f"{label} {count.done:,}/{count.total:,} {count.unit}" for label, count in [*self._now.items()])

    def seconds_left(self) -> dict[str, float]:
        """Return the remaining seconds of each running step at its present rate; steps without progress are left out."""
        now = time.monotonic()
        return {label: count.seconds_left(now) for label, count in [*self._now.items()] if count.done > count.first}
