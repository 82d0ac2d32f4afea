"""The learning rate follows from the step alone."""

import pytest

from tckr.training.schedule import learning_rate


def test_the_rate_rises_to_its_peak_and_falls_as_half_a_cosine():
    rates = [learning_rate(step, 10, peak=1.0, warmup_fraction=0.2) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5)
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.05


def test_without_warm_up_the_first_step_has_the_peak_rate():
    assert [learning_rate(step, 10, peak=2.0) for step in (0, 5)] == [2.0, 1.0]


def test_a_constant_rate_rises_and_stays():
    rates = [learning_rate(step, 10, peak=1.0, warmup_fraction=0.2, schedule="constant") for step in range(10)]
    assert rates == [0.5, *[1.0] * 9]
