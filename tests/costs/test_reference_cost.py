"""What reference runs cost, by hand."""

from __future__ import annotations

import pytest

from tckr.costs.reference_cost import Cost, Repeated, after, asking, bill


def step(seconds: float, num_bytes: float, threads: int, measured: bool = True) -> Cost:
    return Cost(seconds=seconds, num_bytes=num_bytes, threads=threads, measured=measured)


def test_a_longer_step_is_an_estimate_and_an_equal_one_a_measurement() -> None:
    assert after(step(3, 100, 4), 5.0, same_settings=True) == step(15, 100, 4, measured=False)
    assert after(step(3, 100, 4), 1.0, same_settings=False) == step(3, 100, 4, measured=False)
    assert after(step(3, 100, 4), 1.0, same_settings=True) == step(3, 100, 4)


def test_asking_is_estimated_by_forward_passes() -> None:
    """100 images were labelled in 4 s with two views each, and generated in 400 s with 40 passes each.

    So a query takes 0.02 s, and a denoising 0.1 s.
    """
    passes = {"images": 100, "views": 2, "passes": 40, "looks": 500, "denoisings": 30, "num_bytes": 7}
    assert asking(step(4, 0, 1), step(400, 0, 2), **passes) == step(500 * 0.02 + 30 * 0.1, 7, 2, measured=False)


def test_bill_by_hand() -> None:
    """Ten runs of 3 + 1 s and once 8 s, guessed: 48 s; the 3 s were measured with four threads, a worker has two."""
    steps = Repeated(per_run=[step(3, 100, 4), step(1, 10, 2)], once=[step(8, 5, 1, measured=False)])
    found = bill(steps, 10, workers=4, threads=2)
    assert found.fastest == pytest.approx(48 / 4)
    assert found.slowest == pytest.approx((10 * (6 + 1) + 8) / 4)
    assert found.estimated == pytest.approx(8 / 48)
    assert found.num_bytes == 1105


def test_time_and_disk_grow_with_the_runs_and_the_controls_do_not() -> None:
    steps = Repeated(per_run=[step(2, 7, 1)], once=[step(5, 3, 1)])
    four, eight = (bill(steps, runs, workers=1, threads=1) for runs in (4, 8))
    assert eight.fastest - four.fastest == pytest.approx(4 * 2)
    assert eight.num_bytes - four.num_bytes == 4 * 7
