"""Estimate the progress and remaining time of a run from its finished steps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tckr.engine.step import Role, Step
from tckr.html.numbers import duration, rounded


@dataclass(frozen=True)
class Left:
    """Remaining time in `seconds`; a lower bound if there are `unknown` steps, whose kind has no finished step yet."""

    seconds: float
    unknown: int

    def __str__(self) -> str:
        """Return the remaining time as text."""
        if not self.seconds:
            return "time left not known yet" if self.unknown else "nearly done"
        return f"{'at least' if self.unknown else 'about'} {' '.join(rounded(self.seconds))} left"


class Pace:
    """Measured time of finished steps by kind, used to predict the others.

    A step is assumed to need the same machine time (seconds times share of the machine) as finished steps of its kind. A
    step of an audit run is compared with other audit runs; until one is finished, with the same step of the target.
    """

    def __init__(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Start with the steps to compute; `shares` gives each step's share of the machine, 1.0 by default."""
        self._left = {step.name: step for step in steps}
        self._shares, self.total, self._start = shares, len(steps), time.monotonic()
        self._needed: dict[tuple[str, str, bool], list[float]] = {}

    @property
    def done(self) -> int:
        """Return the number of finished steps."""
        return self.total - len(self._left)

    @property
    def gone(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    def finished(self, step: Step, seconds: float) -> None:
        """Record the time of a finished step; ignore a step that was not planned."""
        if self._left.pop(step.name, None) is not None:
            self._needed.setdefault(_kind(step), []).append(seconds * self._shares.get(step.name, 1.0))

    def left(self, at_work: Mapping[str, float]) -> Left:
        """Return the time that unfinished steps take; `at_work` gives the seconds left of running steps."""
        expected = [self._expected(step, at_work) for step in [*self._left.values()]]
        known = [value for value in expected if value is not None]
        return Left(sum(known), len(expected) - len(known))

    def sentence(self, at_work: Mapping[str, float]) -> str:
        """Return steps done, elapsed time and time left as text."""
        return f"{self.done} of {self.total} steps, {duration(self.gone)} gone, {self.left(at_work)}"

    def _expected(self, step: Step, at_work: Mapping[str, float]) -> float | None:
        if step.name in at_work:
            return at_work[step.name] * self._shares.get(step.name, 1.0)
        stage, function, own = _kind(step)
        known = self._needed.get((stage, function, own)) or self._needed.get((stage, function, not own))
        return sum(known) / len(known) if known else None


def _kind(step: Step) -> tuple[str, str, bool]:
    return step.stage, step.function, step.role is Role.TARGET
