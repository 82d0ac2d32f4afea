"""Axes of a chart: conversion of values to pixels, linear or logarithmic, and ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tckr.metrics.rounding import round_above

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Map [low, high] to pixels [start, end]; `end < start` draws upwards. Values outside are placed at the edge.

    On a log axis, position = start + (end - start) * (log v - log low) / (log high - log low).
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __post_init__(self) -> None:
        """Check that the axis has a length and that a log axis is positive."""
        assert self.low < self.high, self
        assert self.low > 0 or not self.log, self

    def __call__(self, value: float) -> float:
        """Return the position of `value` in pixels."""
        low, high, value = (self._scaled(number) for number in (self.low, self.high, min(max(value, self.low), self.high)))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values inside the axis: powers of ten on a log axis, else about `most` multiples of 1, 2, 2.5, 5."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**power for power in range(first, last + 1)]
        step = round_above((self.high - self.low) / most, STEPS)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def tick_label(value: float) -> str:
    """Return a short label: `0.001`, `0.25`, `40`, `12k`."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}"


def spanning(values: list[float], *, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Return ends that include all values with a margin; given `low` and `high` are kept. The range is never empty."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    bottom, top = min(finite), max(finite)
    air = 0.06 * (top - bottom) or 0.5 * abs(top) or 1.0
    return (bottom - air if low is None else min(low, bottom)), (top + air if high is None else max(high, top))


def decade_below(share: float) -> float:
    """Return the power of ten at or below a share in (0, 1]: the left end of a log axis that shows it."""
    assert 0 < share <= 1, share
    return 10.0 ** min(-1, math.floor(math.log10(share) + 1e-9))
