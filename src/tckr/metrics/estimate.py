"""A measured number with its interval, and the two rules for printing one. Knows no metric."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with a confidence interval.

    Attributes:
        value: point estimate.
        low, high: ends of the interval; `low <= value <= high`.
        n: number of independent units behind it (images, records or runs; `method` says which).
        method: name of the interval and anything a reader must know about it.
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def __post_init__(self) -> None:
        """Hold the invariant that every number is finite and lies in its interval."""
        assert all(math.isfinite(number) for number in (self.value, self.low, self.high)), self
        assert self.low <= self.value <= self.high, self

    def __str__(self) -> str:
        """Return for example `0.61 [0.58, 0.64]`."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def __float__(self) -> float:
        """Return the value alone."""
        return float(self.value)

    def covers(self, truth: float) -> bool:
        """Return whether `truth` lies in the interval."""
        return self.low <= truth <= self.high


@dataclass(frozen=True)
class NotMeasurable:
    """A number that the data cannot give, with the reason; `n` is how many units there were."""

    reason: str
    n: int = 0

    def __str__(self) -> str:
        """Return `not measurable (reason)`."""
        return f"not measurable ({self.reason})"


Measured = Estimate | NotMeasurable


def describe_difference(difference: Measured) -> str:
    """Return the difference with its interval, or `no measurable difference [low, high]` when that contains zero."""
    if isinstance(difference, NotMeasurable):
        return str(difference)
    if difference.covers(0.0):
        return f"no measurable difference [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
