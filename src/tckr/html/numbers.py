"""How a measured number is printed: `0.612 [0.581, 0.644]`, a bound, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from tckr.metrics.estimate import TEST_IMAGES, Estimate, Measured, NotMeasurable, no_difference
from tckr.metrics.results import EpsilonBound

Form = Callable[[float], str]


class Number(BaseModel):
    """A number as it is printed: `text` is what the page shows, with its interval; `reason` says why there is none."""

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
    """Return a share as percent with at least two digits that count."""
    return f"{100 * value:.1f} %" if value >= 0.01 or value == 0 else f"{100 * value:.2f} %"


def plain(value: float) -> str:
    """Return a setting or the end of a scale as short as it is: `0.5`, `10`, `1e-5`."""
    return f"{value:g}".replace("e-0", "e-")


def signed(value: float) -> str:
    """Return a difference with its sign (a real minus, as wide as the plus)."""
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


def at_least(value: float) -> str:
    """Return a lower bound, `\u2265 0.90`."""
    return f"\N{GREATER-THAN OR EQUAL TO} {value:.2f}"


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
    """Return Student minus Teacher; an interval that contains zero reads as `no_difference` says, never as a gain."""
    if difference is None:
        return None
    number = measured_number(difference, signed)
    if isinstance(difference, Estimate) and difference.covers(0.0):
        interval = f"[{signed(difference.low)}, {signed(difference.high)}]"
        return number.model_copy(update={"text": f"{no_difference(difference, units)} {interval}"})
    return number


def duration(seconds: float) -> str:
    """Return for example `0.4 s`, `12 s`, `3 min 05 s`, `2 h 14 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def span(fastest: float, slowest: float) -> str:
    """Return for example `24 to 49 min`, `64 min to 2.1 h`, or one number where both print the same."""
    (low, low_unit), (high, high_unit) = rounded(fastest), rounded(slowest)
    if (low, low_unit) == (high, high_unit):
        return f"{high} {high_unit}"
    return f"{low} to {high} {high_unit}" if low_unit == high_unit else f"{low} {low_unit} to {high} {high_unit}"


def rounded(seconds: float) -> tuple[str, str]:
    """Return an estimated time as a number of two digits and its unit; a measured one has more (`duration`)."""
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= 2 * size), (1, "s"))
    return (f"{seconds / size:.1f}" if seconds < 10 * size else f"{seconds / size:.0f}"), unit


def megabytes(value: float) -> str:
    """Return a size in the unit that reads best; `value` is in MB (10^6 bytes)."""
    if value >= 1000:
        return f"{value / 1000:.1f} GB"
    return f"{value:.0f} MB" if value >= 10 else f"{value:.1f} MB" if value >= 0.1 else f"{1000 * value:.0f} kB"


def p_text(p_value: float, digits: int = 2) -> str:
    """Return `= 0.23`, or `< 0.001`."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.{digits}g}"
