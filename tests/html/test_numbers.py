"""Numbers as they are printed."""

from __future__ import annotations

from tckr.html.numbers import (
    at_least,
    difference_number,
    duration,
    measured_number,
    megabytes,
    percent,
    rounded_down,
    rounded_up,
)
from tckr.metrics.estimate import Estimate, NotMeasurable


def test_numbers_are_printed_with_their_interval_or_reason():
    assert measured_number(Estimate(0.6123, 0.5811, 0.6444, 9, "m")).text == "0.612 [0.581, 0.644]"
    assert measured_number(NotMeasurable("40 non-members", 40)).reason == "40 non-members"
    assert measured_number(None, absent="why").reason == "why"
    assert difference_number(None) is None
    assert [percent(value) for value in (0.0, 0.004, 0.063, 1.0)] == ["0.0 %", "0.40 %", "6.3 %", "100.0 %"]


def test_a_lower_bound_is_rounded_down():
    values = (0.0, 0.009, 0.29, 0.999, 2.375, 10.0)  # 0.29 x 100 is below 29 in floating point
    assert [rounded_down(value) for value in values] == ["0.00", "0.00", "0.29", "0.99", "2.37", "10.00"]
    assert at_least(0.999) == "\u2265 0.99"


def test_an_upper_bound_is_rounded_up():
    assert [rounded_up(value) for value in (0.01, 0.57, 0.9541, 1.0, 9.994, 12.31, 99.99)] == [
        "0.01",
        "0.57",
        "0.955",
        "1",
        "10",
        "12.4",
        "100",
    ]


def test_durations_and_sizes_read_at_a_glance():
    assert [duration(seconds) for seconds in (0.44, 12, 59.6, 185, 8040)] == [
        "0.4 s",
        "12 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 14 min",
    ]
    assert [megabytes(value) for value in (0.012, 1.234, 310, 1720)] == ["12 kB", "1.2 MB", "310 MB", "1.7 GB"]
