from __future__ import annotations

import pytest

from tckr.metrics.estimate import Estimate, NotMeasurable, describe_difference


def test_estimate_prints_with_its_interval() -> None:
    assert str(Estimate(0.611, 0.58, 0.6449, 100, "m")) == "0.61 [0.58, 0.64]"
    assert str(NotMeasurable("3 non-members")) == "not measurable (3 non-members)"


def test_estimate_refuses_what_is_no_interval() -> None:
    for value, low, high in ((0.5, 0.6, 0.7), (0.5, 0.4, float("inf")), (float("nan"), 0, 1)):
        with pytest.raises(AssertionError):
            Estimate(value, low, high, 1, "m")


def test_difference_whose_interval_contains_zero_is_no_gain() -> None:
    assert describe_difference(Estimate(0.02, -0.01, 0.05, 9, "m")) == "no measurable difference [-0.010, +0.050]"
    assert describe_difference(Estimate(-0.02, -0.05, -0.01, 9, "m")) == "-0.020 [-0.050, -0.010]"
    assert describe_difference(NotMeasurable("why")) == "not measurable (why)"
