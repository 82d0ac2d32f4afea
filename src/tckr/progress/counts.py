"""How far each step at work is, and how long it takes at its present rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Count:
    """How far a step is: `first` units were done when it began at `start`."""

    unit: str
    total: int
    first: int
    done: int
    start: float

    def seconds_left(self, now: float) -> float:
        """Return how long the rest takes if it advances as before."""
        return (now - self.start) * max(0, self.total - self.done) / (self.done - self.first)


class Counts:
    """The counts of the steps at work, by name."""

    def __init__(self) -> None:
        """Begin with none."""
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
        """Return in words how far each step is."""
        return ", ".join(f"{label} {count.done:,}/{count.total:,} {count.unit}" for label, count in [*self._now.items()])

    def seconds_left(self) -> dict[str, float]:
        """Return how long each step at work still takes at its present rate; none that has not advanced yet."""
        now = time.monotonic()
        return {label: count.seconds_left(now) for label, count in [*self._now.items()] if count.done > count.first}
