"""Shared numbers are rounded to what their interval supports, on grids that neither data nor settings choose."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.membership import roc_points, tpr_at_fpr
from tckr.metrics.rounding import (
    FEWEST_FALSE,
    bound_below,
    coarse_curve,
    rate_step,
    rounded,
    share_step,
    significant,
    stepped_rate,
    stepped_share,
)


@pytest.mark.parametrize(
    ("exact", "shown"),
    [
        ((0.6123456, 0.5812345, 0.6434567), (0.612, 0.581, 0.643)),
        ((0.54321, 0.35, 0.73), (0.54, 0.35, 0.73)),
        ((9.5123, 9.01, 10.02), (9.51, 9.01, 10.02)),
        ((1234.5, 1134.0, 1334.0), (1230.0, 1130.0, 1330.0)),
        ((0.0101, 0.0004, 0.0198), (0.0101, 0.0004, 0.0198)),
        ((0.02, 0.0004, 0.06), (0.02, 0.001, 0.06)),
        ((-0.02, -0.06, -0.0004), (-0.02, -0.06, -0.001)),
        ((0.98765, 0.98765, 0.98765), (0.99, 0.99, 0.99)),
    ],
)
def test_numbers_have_two_digits_of_their_half_width_and_stay_on_their_side_of_zero(exact, shown):
    found = rounded(Estimate(*exact, 100, "m"))
    assert (found.value, found.low, found.high) == pytest.approx(shown, rel=1e-12)


def test_a_share_is_rounded_to_steps_and_its_interval_depends_on_the_step_alone():
    step = share_step(36)
    assert step == 0.5
    counts = [Estimate(right / 36, 0.0, 1.0, 36, "") for right in range(37)]
    shown = {stepped_share(count, step, 0.95) for count in counts}
    assert [one.value for one in sorted(shown, key=lambda one: one.value)] == [0.0, 0.5, 1.0]
    assert len(shown) == 3, "equal values have equal intervals"
    around = {stepped_share(count, step, 0.95, origin=0.9).value for count in counts}
    assert around == {0.0, 0.4, 0.9}


def test_the_interval_of_a_stepped_share_contains_what_was_rounded():
    for right in range(101):
        exact = Estimate(right / 100, 0.0, 1.0, 100, "")
        found = stepped_share(exact, share_step(100), 0.95)
        assert found.low <= exact.value <= found.high


def test_steps_depend_on_the_number_of_records_alone():
    assert [share_step(n) for n in (1, 10, 100, 10_000)] == [1.0, 1.0, 0.2, 0.02]
    assert [rate_step(0.1, n, n) for n in (100, 647, 25_000)] == [0.2, 0.1, 0.02]


def test_a_rate_where_nothing_leaks_is_rounded_to_the_false_positive_rate_itself():
    rng = np.random.default_rng(0)
    members = np.arange(2000) < 1000
    found = [
        stepped_rate(tpr_at_fpr(rng.normal(size=2000), members, 0.1, 0.95), 0.1, 0.95, num_members=1000, num_others=1000)
    ]
    assert [one.value for one in found] == [0.1]
    leaking = tpr_at_fpr(rng.normal(size=2000) + 2 * members, members, 0.1, 0.95)
    shown = stepped_rate(leaking, 0.1, 0.95, num_members=1000, num_others=1000)
    assert abs(shown.value - leaking.value) <= rate_step(0.1, 1000, 1000) / 2
    assert shown.value > 0.5


def test_a_rate_above_which_few_non_members_lie_is_not_shared():
    exact = Estimate(0.02, 0.01, 0.03, 647, "passed by 6 of 647")
    found = stepped_rate(exact, 0.01, 0.95, num_members=647, num_others=647)
    assert isinstance(found, NotMeasurable)
    assert "1,000 non-members" in found.reason
    assert isinstance(stepped_rate(exact, 0.01, 0.95, num_members=1000, num_others=1000), Estimate)


@pytest.mark.parametrize("records", [10, 300, 1294, 50_000])
def test_a_curve_is_given_at_rates_fixed_in_advance_whatever_the_scores_are(records):
    rng = np.random.default_rng(records)
    members = np.arange(records) < records // 2
    curves = [
        coarse_curve(roc_points(rng.normal(size=records) + shift * members, members), records // 2, records - records // 2)
        for shift in (0.0, 0.5, 3.0)
    ]
    rates = [[false for false, _ in curve] for curve in curves]
    assert rates[0] == rates[1] == rates[2]
    assert all(rate * (records / 2) >= FEWEST_FALSE for rate in rates[0][1:-1])
    assert len(rates[0]) <= 10
    for curve in curves:
        assert (curve[0], curve[-1]) == ((0.0, 0.0), (1.0, 1.0))
        assert [true for _, true in curve] == sorted(true for _, true in curve)


def test_no_curve_is_made_of_nothing():
    assert coarse_curve([], 5, 5) == []


def test_a_bound_is_only_ever_rounded_down():
    assert [bound_below(value) for value in (0.0, 0.0437, 0.0999, 0.1, 0.4375, 1.8, 2.999)] == [
        0,
        0.04,
        0.09,
        0.1,
        0.4,
        1.8,
        2.9,
    ]
    assert [significant(value) for value in (0.0, 1234.0, 0.0456)] == [0.0, 1200.0, 0.046]
