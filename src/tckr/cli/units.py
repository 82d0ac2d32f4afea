"""Estimates of time and disk as text."""

from __future__ import annotations


def span(fastest: float, slowest: float) -> str:
    """Return for example `24 to 49 min`, `64 min to 2.1 h`, or one number where both print the same."""
    (low, low_unit), (high, high_unit) = rounded(fastest), rounded(slowest)
    if (low, low_unit) == (high, high_unit):
        return f"{high} {high_unit}"
    return f"{low} to {high} {high_unit}" if low_unit == high_unit else f"{low} {low_unit} to {high} {high_unit}"


def rounded(seconds: float) -> tuple[str, str]:
    """Return an estimated time as a number of two digits and its unit; a measured one has more (`numbers.duration`)."""
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= 2 * size), (1, "s"))
    return (f"{seconds / size:.1f}" if seconds < 10 * size else f"{seconds / size:.0f}"), unit


def size(num_bytes: float) -> str:
    """Return for example `1.6 GB` or `3.1 MB` (powers of ten)."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
