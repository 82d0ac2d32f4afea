"""Formatting of measured numbers: `0.612 [0.581, 0.644]`, a bound, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from tckr.metrics.estimate import TEST_IMAGES, Estimate, Measured, NotMeasurable, no_difference
from tckr.metrics.results import EpsilonBound

Form = Callable[[float], str]


class Number(BaseModel):
    """A number as printed: `text` is shown on the page with its interval; `reason` is set if there is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: str = ""
    reason: str = ""


def fraction(value: float) -> str:
    """Return a share or an AUC with three decimals."""
    return f"{value:.3f}"


def percent(value: float) -> str:
    """Return a share as percent with at least two significant digits."""
    return f"{100 * value:.1f} %" if value >= 0.01 or value == 0 else f"{100 * value:.2f} %"


def plain(value: float) -> str:
    """Return a setting or the end of a scale in its shortest form: `0.5`, `10`, `1e-5`."""
    return f"{value:g}".replace("e-0", "e-")


def signed(value: float) -> str:
    """Return a difference with its sign (a typographic minus, as wide as the plus)."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def signed_percent(value: float) -> str:
    """Return a difference of shares as percent with its sign."""
    return f"{100 * value:+.2f} %".replace("-", "\N{MINUS SIGN}")


def measured_number(measured: Measured | None, form: Form = fraction, absent: str = "not measured") -> Number:
    """Return the number of a measurement; without one, its reason or `absent`."""
    if measured is None:
        return Number(text="\N{EN DASH}", reason=absent)
    if isinstance(measured, NotMeasurable):
        return Number(text="not measurable", reason=measured.reason, n=measured.n)
    return Number(
        text=f"{form(measured.value)} [{form(measured.low)}, {form(measured.high)}]",
        value=measured.value,
        low=measured.low,
        high=measured.high,
        n=measured.n,
        method=measured.method,
    )


def rounded_down(value: float) -> str:
    """Return a lower bound (>= 0) with two decimals. It is rounded down, so that the text is a lower bound too."""
    return f"{math.floor(100 * value + 1e-9) / 100:.2f}"


def rounded_up(value: float) -> str:
    """Return an upper bound (> 0) with at most three digits. It is rounded up, so that the text is an upper bound too."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / unit - 1e-9) * unit:.3g}"


def at_least(value: float) -> str:
    """Return a lower bound, `\u2265 0.90`."""
    return f"\N{GREATER-THAN OR EQUAL TO} {rounded_down(value)}"


def bound_number(bound: EpsilonBound | None, absent: str = "not measured") -> Number:
    """Return a one-sided bound as a number without an upper end."""
    if bound is None:
        return Number(text="\N{EN DASH}", reason=absent)
    return Number(
        text=at_least(bound.value),
        value=bound.value,
        low=bound.value,
        n=bound.num_members + bound.num_non_members,
        method=bound.method,
    )


def difference_number(difference: Measured | None, units: str = TEST_IMAGES) -> Number | None:
    """Return Student minus Teacher; if its interval contains zero, the text is that of `no_difference`."""
    if difference is None:
        return None
    number = measured_number(difference, signed)
    if isinstance(difference, Estimate) and difference.covers(0.0):
        interval = f"[{signed(difference.low)}, {signed(difference.high)}]"
        return number.model_copy(update={"text": f"{no_difference(difference, units)} {interval}"})
    return number


def duration(seconds: float) -> str:
    """Return e.g. `0.4 s`, `12 s`, `3 min 05 s`, `2 h 14 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def span(fastest: float, slowest: float) -> str:
    """Return e.g. `24 to 49 min`, `64 min to 2.1 h`, or one number if both print the same."""
    (low, low_unit), (high, high_unit) = rounded(fastest), rounded(slowest)
    if (low, low_unit) == (high, high_unit):
        return f"{high} {high_unit}"
    return f"{low} to {high} {high_unit}" if low_unit == high_unit else f"{low} {low_unit} to {high} {high_unit}"


def rounded(seconds: float) -> tuple[str, str]:
    """Return an estimated time as a number with two digits and its unit; `duration` is for measured times."""
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= 2 * size), (1, "s"))
    return (f"{seconds / size:.1f}" if seconds < 10 * size else f"{seconds / size:.0f}"), unit


def megabytes(value: float) -> str:
    """Return a size with a suitable unit; `value` is in MB (10^6 bytes)."""
    if value >= 1000:
        return f"{value / 1000:.1f} GB"
    return f"{value:.0f} MB" if value >= 10 else f"{value:.1f} MB" if value >= 0.1 else f"{1000 * value:.0f} kB"


def p_text(p_value: float, digits: int = 2) -> str:
    """Return `= 0.23`, or `< 0.001`."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.{digits}g}"
