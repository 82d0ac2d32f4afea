"""Surfaces that no reference run repeated: what else is tried on them, and that it counts in the family."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tckr.artifacts.audit import AuditResult
from tckr.membership.collection import known_outside
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.findings import usable_scorers
from tckr.membership.scorers import QUANTILES
from tckr.membership.scorers.quantile_regression import (
    MIN_POPULATION,
    MOST_COMPONENTS,
    AmongAlike,
    NonMemberQuantiles,
    fit_quantiles,
    principal_components,
)
from tckr.membership.verdict import judge
from tckr.membership.wording import surface_text
from tckr.metrics.estimate import Estimate
from tests.membership.worlds import evidence, only

pytestmark = pytest.mark.usefixtures("few_scorers", "few_redraws", "few_rounds")


def world(leak: float, *, signal: str = "images", records: int = 1200) -> Evidence:
    """Return a world at depth `distill` in which features tell the levels of the images, and `signal` leaks `leak`.

    Beside the images it has the Teacher, which references repeat: every further signal is regressed ten times.
    """
    found = evidence(3, shift=0.0, records=records)
    noise = np.random.default_rng(0).normal(size=records)
    level = found.signals["images"][0]
    known = {"images": level + 0.3 * noise, signal: (level if signal == "images" else 0.0) + 0.3 * noise}
    leaking = {**known, signal: known[signal] + 0.3 * leak * found.members[0]}
    signals = found.signals | {name: values[None] for name, values in leaking.items()}
    return only(replace(found, signals=signals, features=level[:, None]), "teacher", "images", "images_pixels")


@cache
def silent() -> AuditResult:
    """Return what is said where nothing leaks."""
    return judge(MembershipConfig(), world(0.0))


def test_quantile_regression_finds_what_a_threshold_on_the_signal_does_not() -> None:
    result = judge(MembershipConfig(), world(2.0))
    surface = result.surfaces["images"]
    plain, alike = surface.auc["global_threshold"], surface.auc[QUANTILES]
    assert isinstance(plain, Estimate)
    assert isinstance(alike, Estimate)
    assert alike.low > 0.7 > 0.65 > plain.high
    assert surface.state == "leaks"
    assert ("auc_above", QUANTILES) in [(reason.kind, reason.attack) for reason in surface.reasons]
    assert "by quantile regression (p" in surface_text(surface)
    assert surface.leave_one_out == {}


def test_all_regressions_may_run_side_by_side_with_the_same_result() -> None:
    config, found, alone = MembershipConfig(), world(0.0), silent()
    computed = []

    def spread(function: Callable[[np.ndarray], object], signals: Sequence[np.ndarray]) -> Iterator[object]:
        computed.extend(signals)
        return map(function, reversed(signals))

    assert judge(config, found, spread=spread) == alone
    assert found.quantile_attack is not None
    assert len(found.quantile_attack.known) == len(computed) > 3  # the target's signals, and the null control's


def test_with_few_records_trees_are_fitted_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two, 1,295 records took five times as much CPU time beside other programs."""
    seen: list[int] = []

    def watched(*given: np.ndarray) -> NonMemberQuantiles:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
        return fit_quantiles(*given)

    monkeypatch.setattr(sys.modules[AmongAlike.__module__], "fit_quantiles", watched)
    features = np.random.default_rng(0).normal(size=(2 * MIN_POPULATION, 1))
    with threadpool_limits(2, "openmp"):
        AmongAlike(features)(None, None, features[:, 0])
    assert set(seen) == {1}


def test_it_finds_nothing_where_nothing_leaks_and_the_power_is_said() -> None:
    surface = silent().surfaces["images"]
    assert surface.state == "not measured"
    assert QUANTILES in {test.attack for test in surface.tests}
    assert "would be detected in 80 of 100 audits" in surface_text(surface)


def test_every_signal_of_such_a_surface_counts() -> None:
    surface = judge(MembershipConfig(), world(4.0, signal="images_pixels")).surfaces["images"]
    assert surface.state == "leaks"
    assert {(reason.attack, reason.signal) for reason in surface.reasons} == {("", "images_pixels")}
    assert "by nearest in pixels" in surface_text(surface)


def test_without_features_or_with_few_records_it_is_left_out() -> None:
    assert QUANTILES not in usable_scorers(replace(world(0.0), features=None), "images")
    assert QUANTILES not in usable_scorers(world(0.0, records=2 * MIN_POPULATION - 2), "images")
    assert QUANTILES in usable_scorers(world(0.0, records=2 * MIN_POPULATION), "teacher")


def test_the_null_control_is_attacked_with_it_too() -> None:
    assert ("null", "teacher", QUANTILES) in {(check.name, check.surface, check.measure) for check in silent().controls}


def test_no_record_is_scored_by_quantiles_that_saw_its_own_signal() -> None:
    generator = np.random.default_rng(0)
    signal, features = generator.normal(size=400), generator.normal(size=(400, 2))
    before = AmongAlike(features)(None, None, signal)
    signal[0] += 100.0
    after = AmongAlike(features)(None, None, signal)
    assert after[0] > before[0] + 10
    assert after[2::2] == pytest.approx(before[2::2])


def test_long_features_are_replaced_by_the_directions_in_which_they_vary() -> None:
    generator = np.random.default_rng(1)
    hidden = generator.normal(size=(300, 2)) @ generator.normal(size=(2, 60))
    found = principal_components((hidden + 1e-3 * generator.normal(size=hidden.shape)).astype(np.float32))
    assert found.shape == (300, MOST_COMPONENTS)
    rest = hidden - hidden.mean(axis=0)
    left = rest - found @ np.linalg.lstsq(found, rest, rcond=None)[0]
    assert np.abs(left).max() < 0.02
    assert principal_components(hidden[:, :3]) == pytest.approx(hidden[:, :3])


def test_an_attacker_knows_features_label_and_what_a_teacher_answers_that_saw_nothing() -> None:
    features, labels, answers = np.zeros((4, 2)), np.arange(4), np.arange(4) / 2
    assert known_outside(features, labels, {"teacher": answers})[:, 2:].tolist() == [[0, 0], [1, 0.5], [2, 1], [3, 1.5]]
    assert known_outside(features, labels, {}).shape == (4, 3)
