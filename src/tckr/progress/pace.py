"""How far a run is and how long it still takes, from the steps that are finished."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tckr.engine.step import Role, Step
from tckr.html.numbers import duration, rounded


@dataclass(frozen=True)
class Left:
    """How long the rest takes: `seconds`, at least, where `unknown` steps are of a kind that none is finished of."""

    seconds: float
    unknown: int

    def __str__(self) -> str:
        """Return it in words."""
        if not self.seconds:
            return "time left not known yet" if self.unknown else "nearly done"
        return f"{'at least' if self.unknown else 'about'} {' '.join(rounded(self.seconds))} left"


class Pace:
    """Steps by kind, and what the finished ones of each kind took.

    A step needs as much of the machine as those of its kind did: their seconds times their share of the machine. Runs of the
    audit are compared with one another as soon as one is finished, and with the target's step before.
    """

    def __init__(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Begin with the steps to compute; `shares` says which part of the machine a step has, all of it by default."""
        self._left = {step.name: step for step in steps}
        self._shares, self.total, self._start = shares, len(steps), time.monotonic()
        self._needed: dict[tuple[str, str, bool], list[float]] = {}

    @property
    def done(self) -> int:
        """Return the number of finished steps."""
        return self.total - len(self._left)

    @property
    def gone(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._start

    def finished(self, step: Step, seconds: float) -> None:
        """Note a finished step; one that was not to be computed counts for nothing."""
        if self._left.pop(step.name, None) is not None:
            self._needed.setdefault(_kind(step), []).append(seconds * self._shares.get(step.name, 1.0))

    def left(self, at_work: Mapping[str, float]) -> Left:
        """Return how long the steps take that are not finished; `at_work` says it of some of them, in seconds."""
        expected = [self._expected(step, at_work) for step in [*self._left.values()]]
        known = [value for value in expected if value is not None]
        return Left(sum(known), len(expected) - len(known))

    def sentence(self, at_work: Mapping[str, float]) -> str:
        """Return all of it in words."""
        return f"{self.done} of {self.total} steps, {duration(self.gone)} gone, {self.left(at_work)}"

    def _expected(self, step: Step, at_work: Mapping[str, float]) -> float | None:
        if step.name in at_work:
            return at_work[step.name] * self._shares.get(step.name, 1.0)
        stage, function, own = _kind(step)
        known = self._needed.get((stage, function, own)) or self._needed.get((stage, function, not own))
        return sum(known) / len(known) if known else None


def _kind(step: Step) -> tuple[str, str, bool]:
    return step.stage, step.function, step.role is Role.TARGET
