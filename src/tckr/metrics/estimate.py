"""A measured number with its interval, and rules for printing it."""

from __future__ import annotations

import math
from dataclasses import dataclass

TEST_IMAGES = "test images"

FEWEST_TEST_IMAGES = 100
"""With fewer test images, one image is more than a point of accuracy, so a difference is never called absent."""

WIDEST_INTERVAL = 0.1
"""A wider interval around zero may hide a difference of five points (0.05) or more on one side."""

NO_DIFFERENCE = "no measurable difference"


@dataclass(frozen=True)
class Estimate:
    """A value with a confidence interval, 95 % unless `audit.confidence` is set.

    Accuracies and AUCs are in [0, 1], their differences in [-1, 1].

    Attributes:
        value: point estimate.
        low, high: ends of the interval; `low <= value <= high`.
        n: number of independent units (images, records or runs; `method` says which).
        method: name of the interval, e.g. `Wilson interval over images`, with remarks.
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def __post_init__(self) -> None:
        """Check that every number is finite and the value is in its interval."""
        assert all(math.isfinite(number) for number in (self.value, self.low, self.high)), self
        assert self.low <= self.value <= self.high, self

    def __str__(self) -> str:
        """Return e.g. `0.61 [0.58, 0.64]`."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def __float__(self) -> float:
        """Return the value without its interval."""
        return float(self.value)

    def covers(self, truth: float) -> bool:
        """Return whether `truth` is in the interval, ends included."""
        return self.low <= truth <= self.high


@dataclass(frozen=True)
class NotMeasurable:
    """A number that the data do not determine, with the reason; `n` is the number of units."""

    reason: str
    n: int = 0

    def __str__(self) -> str:
        """Return `not measurable (reason)`."""
        return f"not measurable ({self.reason})"


Measured = Estimate | NotMeasurable


def no_difference(difference: Estimate, units: str = TEST_IMAGES, num_units: int | None = None) -> str:
    """Return the text for an interval that contains zero: `no measurable difference`, or `too few test images to tell`.

    The first needs at least `FEWEST_TEST_IMAGES` test images and an interval no wider than `WIDEST_INTERVAL`.

    Args:
        difference: difference of two shares or two AUCs; its interval contains zero.
        units: name of the units; only test images have a minimum number.
        num_units: their number, if it is not `difference.n`.
    """
    few = units.startswith(TEST_IMAGES) and (difference.n if num_units is None else num_units) < FEWEST_TEST_IMAGES
    wide = difference.high - difference.low > WIDEST_INTERVAL
    return f"too few {units} to tell" if few or wide else NO_DIFFERENCE


def describe_difference(difference: Measured) -> str:
    """Return a difference of accuracy with its interval, preceded by `no_difference` if that contains zero."""
    if isinstance(difference, NotMeasurable):
        return str(difference)
    if difference.covers(0.0):
        return f"{no_difference(difference)} [{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
