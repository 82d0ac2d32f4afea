"""What a plan promises: closed forms, and widths that the audit then finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tckr.stages.audit.analyses import leave_one_out
from tckr.stages.audit.budget import (
    REFERENCE_RUNS,
    Cost,
    Repeated,
    after,
    asking,
    auc_spread,
    bill,
    mean_width,
    numbers_to_compare,
    smallest_rate,
    target_width,
)
from tckr.stages.audit.config import AuditConfig
from tckr.stages.audit.scorers import SCORERS
from tests.stages.audit.worlds import membership, signals


def test_spread_of_one_run_is_that_of_the_rank_sum() -> None:
    # 1 member among 3 records: AUC 0, 1/2 or 1, each with probability 1/3; the variance is 1/6 = (3 + 1) / (12 * 1 * 2).
    assert auc_spread(1, 2) ** 2 == pytest.approx(np.var([0, 0.5, 1]))
    assert target_width(1, 2, 0.95) == pytest.approx(2 * 1.959964 * (1 / 6) ** 0.5)


def test_width_over_runs_is_students() -> None:
    # t with 4 degrees of freedom at 97.5 %: 2.776445; five runs.
    assert mean_width(1, 2, 4, 0.95) == pytest.approx(2 * 2.776445 * (1 / 6) ** 0.5 / 5**0.5)
    assert mean_width(600, 693, 10_000, 0.95) == pytest.approx(target_width(600, 693, 0.95) / 100, rel=1e-3)


@pytest.mark.parametrize("records", [60, 1293])
def test_promised_width_of_the_target_is_found_where_nothing_leaks(records: int) -> None:
    generator, widths = np.random.default_rng(0), []
    for _ in range(100):
        members = membership(generator, 1, records)[0]
        found = auc(generator.normal(size=records), members, 0.95)
        assert isinstance(found, Estimate)
        widths.append(found.high - found.low)
    assert np.mean(widths) == pytest.approx(target_width(records // 2, records - records // 2, 0.95), rel=0.15)


@pytest.mark.parametrize("references", [4, 16])
def test_promised_width_over_runs_is_found_where_nothing_leaks(references: int) -> None:
    widths = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        members = membership(generator, references + 1, 300)
        world = signals(generator, members, 0.0), members
        mean = leave_one_out(SCORERS[AuditConfig().scorer], *world, 0.95)["leave_one_out"].mean
        widths.append(mean.high - mean.low)
    assert np.mean(widths) == pytest.approx(mean_width(150, 150, references, 0.95), rel=0.15)


def test_smallest_rate_is_one_non_member() -> None:
    assert smallest_rate(250) == 0.004


def step(seconds: float, num_bytes: float, threads: int, measured: bool = True) -> Cost:
    return Cost(seconds=seconds, num_bytes=num_bytes, threads=threads, measured=measured)


def test_a_longer_step_is_an_estimate_and_an_equal_one_a_measurement() -> None:
    assert after(step(3, 100, 4), 5.0, same_settings=True) == step(15, 100, 4, measured=False)
    assert after(step(3, 100, 4), 1.0, same_settings=False) == step(3, 100, 4, measured=False)
    assert after(step(3, 100, 4), 1.0, same_settings=True) == step(3, 100, 4)


def test_asking_is_estimated_by_forward_passes() -> None:
    """100 images were labelled in 2 s and drawn in 400 s with 40 passes each: 0.02 s per look, 0.1 s per denoising."""
    passes = {"images": 100, "passes": 40, "looks": 500, "denoisings": 30, "num_bytes": 7}
    assert asking(step(2, 0, 1), step(400, 0, 2), **passes) == step(500 * 0.02 + 30 * 0.1, 7, 2, measured=False)


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


def test_the_configured_number_is_among_those_compared() -> None:
    assert numbers_to_compare(8) == [4, 8, 16, 64, 256]
    assert numbers_to_compare(20) == [4, 8, 16, 20, 64, 256]


@pytest.mark.parametrize("records", [1293, 50_000])
def test_documented_widths_are_those_of_the_code(records: int) -> None:
    half = records // 2, records - records // 2
    widths = [target_width(*half, 0.95), *(mean_width(*half, runs, 0.95) for runs in REFERENCE_RUNS)]
    row = " | ".join([f"{records:,}", *(f"{width:.4f}" for width in widths)])
    assert f"| {row} |" in (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
