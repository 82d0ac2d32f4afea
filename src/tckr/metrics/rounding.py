"""Round numbers to what their intervals support, so that none of them reveals the order of single records.

An attacker with a released model can sort candidate records by its signal. An exact ROC curve, or an exact count above a
threshold, then reveals for each record in turn whether it was a member. Therefore curves are given at false positive rates
that are fixed in advance, and shares in steps that depend only on the number of records, not on settings or data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.proportions import critical_value, wilson

CONFIDENCE = 0.95
"""Level of the interval whose width makes a step. Not a setting, because two reports of one run must use the same steps."""

FEWEST_FALSE = 10
"""Minimum number of non-members above a threshold; with fewer, members could be identified almost one by one."""

RATES = tuple(round(digit * 10.0**power, -power) for power in range(-6, 0) for digit in (1, 3))
"""False positive rates at which a curve is given, before its ends 0 and 1."""

Curve = list[tuple[float, float]]


def rounded(estimate: Estimate) -> Estimate:
    """Return the estimate with its numbers rounded to two significant digits of the interval's half-width.

    Rounding does not change whether the interval contains zero, because this is a finding.
    """
    half = (estimate.high - estimate.low) / 2 or abs(estimate.value) or 1.0
    digits = 1 - math.floor(math.log10(half))
    unit = 10.0**-digits
    value, low, high = (round(number, digits) for number in (estimate.value, estimate.low, estimate.high))
    low = max(low, unit) if estimate.low > 0 else low
    high = min(high, -unit) if estimate.high < 0 else high
    return Estimate(min(max(value, low), high), low, high, estimate.n, estimate.method)


def stepped_share(measured: Measured, step: float, confidence: float, *, origin: float = 0.0) -> Measured:
    """Return a share of n records in steps from `origin`, with the Wilson interval of that value, widened by half a step.

    The interval depends only on the value, so different confidence levels reveal no additional number.
    """
    if isinstance(measured, NotMeasurable):
        return measured
    value = _from_origin(measured.value, step, origin)
    low, high = wilson(value * measured.n, measured.n, confidence)
    low, high = max(0.0, low - step / 2), min(1.0, high + step / 2)
    return rounded(Estimate(value, low, high, measured.n, f"Wilson interval, in steps of {step:g}"))


def share_step(n: int) -> float:
    """Return the step of a share of `n` records: 1, 2 or 5 times a power of ten, at least its widest interval's width."""
    return min(1.0, round_above(2 * critical_value(CONFIDENCE) * (0.25 / max(n, 1)) ** 0.5))


def rate_step(rate: float, num_members: int, num_others: int) -> float:
    """Return the step of a true positive rate at the false positive rate `rate`: at least its interval's width if nothing
    leaks. In steps from `rate`, which is guessing, one rate in twenty differs from it by chance.
    """
    variance = rate * (1 - rate) * (1 / max(num_members, 1) + 1 / max(num_others, 1))
    return min(1.0, round_above(2 * critical_value(CONFIDENCE) * variance**0.5))


def stepped_rate(measured: Measured, rate: float, confidence: float, *, num_members: int, num_others: int) -> Measured:
    """Return a true positive rate in steps from `rate`; not measurable with fewer than `FEWEST_FALSE` non-members above."""
    if isinstance(measured, Estimate) and rate * num_others < FEWEST_FALSE:
        needed = math.ceil(FEWEST_FALSE / rate - 1e-9)
        return NotMeasurable(f"to be shared it needs {needed:,} non-members, or it would tell single records", num_others)
    return stepped_share(measured, rate_step(rate, num_members, num_others), confidence, origin=rate)


def coarse_curve(points: Sequence[tuple[float, float]], num_members: int, num_others: int) -> Curve:
    """Return a ROC curve in steps, from (0, 0) to (1, 1), at those of `RATES` that `FEWEST_FALSE` non-members reach."""
    if not points:
        return []
    curve: Curve = [(0.0, 0.0)]
    for rate in RATES:
        if rate * num_others >= FEWEST_FALSE:
            found = max(true for false, true in points if false <= rate * (1 + 1e-9))
            step = rate_step(rate, num_members, num_others)
            curve.append((rate, max(curve[-1][1], _from_origin(found, step, rate))))
    return [*curve, (1.0, 1.0)]


def bound_below(value: float) -> float:
    """Return a lower bound rounded down to one decimal; below 0.1, to one significant digit."""
    unit = 0.1 if value >= 0.1 else 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return _to_step(math.floor(value / unit + 1e-9) * unit, unit)


def significant(value: float, digits: int = 2) -> float:
    """Return `value` rounded to `digits` significant digits."""
    return float(f"{value:.{digits}g}")


def round_above(value: float, steps: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0)) -> float:
    """Return the smallest of `steps` times a power of ten that is at least `value` (> 0)."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * next(step for step in steps if step >= value / power - 1e-9)


def _from_origin(value: float, step: float, origin: float) -> float:
    return min(1.0, max(0.0, round(origin + _to_step(value - origin, step), 12)))


def _to_step(value: float, step: float) -> float:
    """Return the nearest multiple of a decimal step, without floating-point noise."""
    return round(round(value / step) * step, 12)
