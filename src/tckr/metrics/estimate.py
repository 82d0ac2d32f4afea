"""A measured number with its interval, and the rules for printing one. Knows no metric."""

from __future__ import annotations

import math
from dataclasses import dataclass

TEST_IMAGES = "test images"

FEWEST_TEST_IMAGES = 100
"""With fewer test images one of them is more than a point of accuracy: no difference that they hide is called absent."""

WIDEST_INTERVAL = 0.1
"""An interval around zero that is wider hides a difference of five points (0.05) or more on one side at least."""

NO_DIFFERENCE = "no measurable difference"


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


def no_difference(difference: Estimate, units: str = TEST_IMAGES, num_units: int | None = None) -> str:
    """Return what an interval that contains zero says: `no measurable difference`, or `too few test images to tell`.

    The first needs at least `FEWEST_TEST_IMAGES` test images and an interval no wider than `WIDEST_INTERVAL`.

    Args:
        difference: of two shares or two AUCs; its interval contains zero.
        units: what there were too few of; only test images have a least number.
        num_units: how many there were, where that is not `difference.n`.
    """
    few = units.startswith(TEST_IMAGES) and (difference.n if num_units is None else num_units) < FEWEST_TEST_IMAGES
    wide = difference.high - difference.low > WIDEST_INTERVAL
    return f"too few {units} to tell" if few or wide else NO_DIFFERENCE


def describe_difference(difference: Measured) -> str:
    """Return a difference of accuracy with its interval; what `no_difference` says where that contains zero."""
    if isinstance(difference, NotMeasurable):
        return str(difference)
    if difference.covers(0.0):
        return f"{no_difference(difference)} [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
