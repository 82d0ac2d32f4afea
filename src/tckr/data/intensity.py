"""Convert grey values of more than 8 bits to 8 by stated rules, and report the range they use. No input or output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass
class DeepValues:
    """The values of all grey pictures of more than 8 bits.

    Attributes:
        count: how many pictures there are.
        low, high: the smallest and the largest value of all.
        whites: the smallest and the largest of the values that become white.
    """

    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    whites: tuple[float, float] = (math.inf, -math.inf)

    def add(self, values: Sequence[float]) -> None:
        """Count a picture by its smallest and largest value and the one that becomes white."""
        low, high, white = values
        self.count += 1
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.whites = min(self.whites[0], white), max(self.whites[1], white)


def describe_range(values: DeepValues) -> str:
    """Return which values pictures of more than 8 bits use; empty if there are none."""
    if not values.count:
        return ""
    text = (
        f"{values.count:,} grey pictures of more than 8 bits use the values {_number(values.low)} to {_number(values.high)}"
    )
    least, most = values.whites
    return f"{text}, and {_number(most)} becomes white" if least == most else text


def describe_dark(values: DeepValues) -> str:
    """Return what to do about pictures that use a small part of the range, as many medical ones do; empty if none does."""
    if not values.count or values.high > MOST_SHARE * values.whites[0]:
        return ""
    return (
        f"{describe_range(values)}: they come out dark. Set prepare.intensity=window with "
        f"prepare.window=[{values.low:g},{values.high:g}] (all alike), or prepare.intensity=range (each picture by its own "
        "smallest and largest value)"
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
