from __future__ import annotations

import pytest

from tckr.metrics.estimate import (
    FEWEST_TEST_IMAGES,
    NO_DIFFERENCE,
    WIDEST_INTERVAL,
    Estimate,
    NotMeasurable,
    describe_difference,
    no_difference,
)


def test_estimate_prints_with_its_interval() -> None:
    assert str(Estimate(0.611, 0.58, 0.6449, 100, "m")) == "0.61 [0.58, 0.64]"
    assert str(NotMeasurable("3 non-members")) == "not measurable (3 non-members)"


def test_estimate_refuses_what_is_no_interval() -> None:
    for value, low, high in ((0.5, 0.6, 0.7), (0.5, 0.4, float("inf")), (float("nan"), 0, 1)):
        with pytest.raises(AssertionError):
            Estimate(value, low, high, 1, "m")


def test_difference_whose_interval_contains_zero_is_no_gain() -> None:
    assert describe_difference(Estimate(0.02, -0.01, 0.05, 100, "m")) == "no measurable difference [-0.010, +0.050]"
    assert describe_difference(Estimate(-0.02, -0.05, -0.01, 9, "m")) == "-0.020 [-0.050, -0.010]"
    assert describe_difference(NotMeasurable("why")) == "not measurable (why)"


@pytest.mark.parametrize(
    ("n", "low", "high", "said"),
    [
        (FEWEST_TEST_IMAGES, -0.05, 0.05, NO_DIFFERENCE),
        (FEWEST_TEST_IMAGES - 1, -0.01, 0.01, "too few test images to tell"),
        (10_000, -0.05, WIDEST_INTERVAL - 0.04, "too few test images to tell"),
        (16, -0.544, 0.321, "too few test images to tell"),
    ],
)
def test_few_test_images_or_a_wide_interval_are_never_called_no_difference(n, low, high, said):
    assert no_difference(Estimate(0.0, low, high, n, "m")) == said


def test_runs_and_records_have_no_least_number_and_the_same_widest_interval():
    assert no_difference(Estimate(0.0, -0.04, 0.04, 9, "m"), "records") == NO_DIFFERENCE
    assert no_difference(Estimate(0.0, -0.2, 0.04, 9, "m"), "records") == "too few records to tell"


def test_a_mean_over_seeds_is_judged_by_the_test_images_of_a_run():
    mean = Estimate(0.0, -0.04, 0.04, 3, "m")
    assert no_difference(mean, "test images or seeds", 360) == NO_DIFFERENCE
    assert no_difference(mean, "test images or seeds", 16) == "too few test images or seeds to tell"
