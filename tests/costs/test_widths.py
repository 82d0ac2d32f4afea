"""What a plan promises: closed forms, and widths that the audit then finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tckr.costs.widths import (
    FACTORS,
    REFERENCE_RUNS,
    auc_spread,
    detectable_auc,
    mean_width,
    numbers_to_compare,
    smallest_rate,
    target_width,
)
from tckr.membership.analyses import leave_one_out
from tckr.membership.config import MembershipConfig
from tckr.membership.scorers import SCORERS
from tckr.membership.verdict import judge
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tests.membership.worlds import evidence, membership, signals


def test_spread_of_one_run_is_that_of_the_rank_sum() -> None:
    # 1 member among 3 records: AUC 0, 1/2 or 1, each with probability 1/3; the variance is 1/6 = (3 + 1) / (12 * 1 * 2).
    assert auc_spread(1, 2) ** 2 == pytest.approx(np.var([0, 0.5, 1]))
    assert target_width(1, 2, 0.95) == pytest.approx(2 * 1.959964 * (1 / 6) ** 0.5)


def test_width_over_runs_is_students() -> None:
    # t with 4 degrees of freedom at 97.5 %: 2.776445; five runs. With 7, of 8 blocks: 2.364624.
    assert mean_width(1, 2, 4, 0.95) == pytest.approx(2 * 2.776445 * (1 / 6) ** 0.5 * (FACTORS[5] / 5) ** 0.5)
    assert mean_width(1, 2, 64, 0.95) == pytest.approx(2 * 2.364624 * (1 / 6) ** 0.5 * (FACTORS[65] / 65) ** 0.5)


def test_between_two_simulated_numbers_lies_a_width_between_theirs() -> None:
    for few, between, many in ((8, 12, 16), (16, 20, 31), (64, 100, 256)):
        assert mean_width(50, 50, few, 0.95) > mean_width(50, 50, between, 0.95) > mean_width(50, 50, many, 0.95)


@pytest.mark.parametrize("records", [60, 1293])
def test_promised_width_of_the_target_is_found_where_nothing_leaks(records: int) -> None:
    generator, widths = np.random.default_rng(0), []
    for _ in range(100):
        members = membership(generator, 1, records)[0]
        found = auc(generator.normal(size=records), members, 0.95)
        assert isinstance(found, Estimate)
        widths.append(found.high - found.low)
    assert np.mean(widths) == pytest.approx(target_width(records // 2, records - records // 2, 0.95), rel=0.15)


def test_power_is_the_closed_form_and_what_an_audit_says_of_itself() -> None:
    # Two references: the target alone, against a level of 0.05 / 50: 3.090232 + 0.841621 standard deviations.
    assert detectable_auc(50, 50, 2, 0.05) == pytest.approx(0.5 + 3.931853 * auc_spread(50, 50))
    surface = judge(MembershipConfig(), evidence(0, shift=0.0, records=300)).surfaces["teacher"]
    assert surface.detectable_auc is not None
    assert detectable_auc(150, 150, 8, 0.05) - 0.5 == pytest.approx(surface.detectable_auc - 0.5, rel=0.1)
    assert detectable_auc(50, 50, 16, 0.05) < detectable_auc(50, 50, 4, 0.05)


@pytest.mark.parametrize(("references", "count"), [(4, 80), (8, 60), (64, 20)])
def test_promised_width_over_runs_is_found_where_nothing_leaks(references: int, count: int) -> None:
    """The small version of benchmarks/widths.py, which prints all numbers of runs."""
    widths = []
    for seed in range(count):
        generator = np.random.default_rng(seed)
        members = membership(generator, references + 1, 300)
        world = signals(generator, members, 0.0), members
        mean = leave_one_out(SCORERS[MembershipConfig().scorer], *world, 0.95).mean
        widths.append(mean.high - mean.low)
    assert 0.9 < mean_width(150, 150, references, 0.95) / np.mean(widths) < 1.1


def test_smallest_rate_is_one_non_member() -> None:
    assert smallest_rate(250) == 0.004


def test_the_configured_number_is_among_those_compared() -> None:
    assert numbers_to_compare(8) == [4, 8, 16, 64, 256]
    assert numbers_to_compare(20) == [4, 8, 16, 20, 64, 256]


@pytest.mark.parametrize("records", [1293, 50_000])
def test_documented_widths_are_those_of_the_code(records: int) -> None:
    half = records // 2, records - records // 2
    widths = [target_width(*half, 0.95), *(mean_width(*half, runs, 0.95) for runs in REFERENCE_RUNS)]
    row = " | ".join([f"{records:,}", *(f"{width:.4f}" for width in widths)])
    assert f"| {row} |" in (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
