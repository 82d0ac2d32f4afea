"""Pipelines that leak nothing, through the verdict code: `leaks` is said at the declared level, all surfaces together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from tckr.artifacts.audit import AuditResult
from tckr.membership import controls
from tckr.membership.canaries import canaries_of
from tckr.membership.config import MembershipConfig
from tckr.membership.verdict import judge
from tests.membership.worlds import evidence


def leaking(result: AuditResult) -> list[str]:
    assert result.valid
    return [name for name, surface in result.surfaces.items() if surface.state == "leaks"]


def test_null_audits_say_leaks_at_most_at_the_declared_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six surfaces with canaries at a level of one half, so that few audits tell; 1,000 are in benchmarks/null_audits.py."""
    for bar in ("PLANTED_BAR", "FAMILY_ERROR", "PARITY_ERROR"):  # 100 records pass no control; nothing may hide behind that
        monkeypatch.setattr(controls, bar, 0.0 if bar == "PLANTED_BAR" else 1e-9)
    said, audits = 0, 24
    for seed in range(audits):
        coins = np.random.default_rng(seed).random(60) < 0.5
        planted = canaries_of({"student": np.arange(60.0)}, coins, np.tile(np.array([1, 2], dtype=np.int8), 30))
        world = evidence(seed, shift=0.0, records=100, depth="full", num_references=4)
        said += bool(leaking(judge(MembershipConfig(depth="full", family_level=0.5), world, canaries=planted)))
    assert 0 < said <= binom.ppf(0.999, audits, 0.5)


def test_members_that_answer_lower_are_a_finding_and_not_privacy() -> None:
    world = evidence(records=1200, depth="full")
    turned = replace(world, signals={**world.signals, "student": world.signals["student"] - 2.0 * world.members})
    result = judge(MembershipConfig(depth="full", scorer="lira_offline_fixed_variance"), turned)
    assert result.surfaces["student"].state == "leaks"
    below = [reason for reason in result.surfaces["student"].reasons if reason.kind == "auc_below"]
    assert [reason.p_value < 0.001 for reason in below] == [True]  # type: ignore[operator]


def test_every_surface_shows_its_own_p_value_and_what_would_have_been_found() -> None:
    found = judge(MembershipConfig(depth="full"), evidence(1, shift=0.0, records=1200, depth="full")).surfaces
    for surface in found.values():
        assert {test.name for test in surface.tests} == {"above", "below", "tail", "runs"}
        assert all(test.p_value <= test.family_p_value for test in surface.tests)
        assert surface.detectable_auc is not None
        assert 0.5 < surface.detectable_auc < 0.56  # of nine runs of 1,200 records
        assert surface.strongest is not None
        assert surface.strongest.family_p_value is not None
