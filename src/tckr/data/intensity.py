"""Convert grey values of more than 8 bits to 8 by stated rules, and report the range they use. No input or output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tckr.data.treatment import Treatment

FULL_RANGE = (0.0, 65_535.0)
MOST_SHARE = 0.5
"""Share of the value that becomes white; pictures below it come out at less than half of their brightness."""

DARKEST = 15
"""Brightness, of 255; a picture without a brighter pixel counts as black."""


def spread(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return uint8: `low` and below become 0, `high` and above 255, linear between; what is not a number becomes 0."""
    scaled = (values.astype(np.float64) - low) / max(high - low, np.finfo(np.float64).tiny)
    return np.round(255 * np.clip(np.nan_to_num(scaled, nan=0.0), 0, 1)).astype(np.uint8)


def to_eight_bits(
    values: np.ndarray, treatment: Treatment, full: tuple[float, float]
) -> tuple[np.ndarray, tuple[float, float, float], list[str]]:
    """Return the picture in 8 bits; its smallest value, its largest and the one that becomes white; the rules applied.

    Args:
        values: [H, W], more than 8 bits.
        treatment: its `intensity` selects the rule.
        full: values that become black and white under `full`. For 0 to 65,535, the upper 8 of 16 bits are kept.
    """
    finite = values[np.isfinite(values)]
    found = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if treatment.intensity == "full" and full == FULL_RANGE and values.dtype.kind == "u":
        return (values >> 8).astype(np.uint8), (*found, full[1]), []
    low, high = {"full": full, "range": found, "window": treatment.window}[treatment.intensity]
    rules: list[str] = [] if treatment.intensity == "full" else [treatment.intensity]
    return spread(values, low, high), (*found, high), rules


def describe_range(values: Sequence[Sequence[float]]) -> str:
    """Return which values pictures of more than 8 bits use, each (smallest, largest, white); empty if there are none."""
    if not values:
        return ""
    lows, highs, whites = zip(*values, strict=True)
    text = f"{len(values):,} grey pictures of more than 8 bits use the values {_number(min(lows))} to {_number(max(highs))}"
    return f"{text}, and {_number(max(whites))} becomes white" if min(whites) == max(whites) else text


def describe_dark(values: Sequence[Sequence[float]]) -> str:
    """Return what to do about pictures that use a small part of the range, as many medical ones do; empty if none does."""
    if not values or max(found[1] for found in values) > MOST_SHARE * min(found[2] for found in values):
        return ""
    low, high = min(found[0] for found in values), max(found[1] for found in values)
    return (
        f"{describe_range(values)}: they come out dark. Set prepare.intensity=window with prepare.window=[{low:g},{high:g}] "
        "(all alike), or prepare.intensity=range (each picture by its own smallest and largest value)"
    )


def describe_black(num_black: int, num_pictures: int) -> str:
    """Return a warning about pictures that come out black; empty if there are none."""
    if not num_black:
        return ""
    return (
        f"{num_black:,} of {num_pictures:,} pictures come out black: none of their pixels is brighter than {DARKEST} of "
        "255. Look at them with `tckr inspect DATA --page FILE`; pictures of more than 8 bits need prepare.intensity=range "
        "or window; remove those that show nothing"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
