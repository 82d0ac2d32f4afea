"""Axes in closed form: where a value lies, which ticks there are."""

from __future__ import annotations

import pytest

from tckr.html.axes import Axis, decade_below, spanning, tick_label
from tckr.metrics.rounding import round_above


def test_a_log_axis_maps_decades_to_equal_steps():
    axis = Axis(low=1e-3, high=1.0, start=50.0, end=350.0, log=True)
    assert [axis(value) for value in (1e-3, 1e-2, 1e-1, 1.0)] == pytest.approx([50, 150, 250, 350])
    assert axis(10**-1.5) == pytest.approx(200)
    assert axis(0.0) == 50, "zero has no logarithm and lies at the edge"
    assert axis.ticks() == pytest.approx([1e-3, 1e-2, 1e-1, 1.0])


def test_a_linear_axis_may_point_upwards():
    axis = Axis(low=0.0, high=4.0, start=100.0, end=20.0)
    assert [axis(value) for value in (0, 1, 4, 9)] == pytest.approx([100, 80, 20, 20])
    assert axis.ticks(4) == pytest.approx([0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"), [(0.44, 1.0, 6, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]), (1, 40, 7, [10, 20, 30, 40])]
)
def test_ticks_are_round_and_inside(low, high, most, ticks):
    assert Axis(low=low, high=high, start=0, end=1).ticks(most) == pytest.approx(ticks)


def test_round_ends_and_labels():
    assert [round_above(value) for value in (0.063, 0.2, 3.0, 10.0)] == pytest.approx([0.1, 0.2, 5.0, 10.0])
    assert [decade_below(share) for share in (1 / 647, 0.01, 0.5)] == pytest.approx([1e-3, 1e-2, 0.1])
    assert [tick_label(value) for value in (0.001, 0.25, 40, 12_000, 0.30000000000000004)] == [
        "0.001",
        "0.25",
        "40",
        "12k",
        "0.3",
    ]


def test_an_axis_over_one_value_or_none_still_has_a_length():
    for values in ([0.5], [0.0], [], [float("nan")]):
        low, high = spanning(values)
        assert low < high
