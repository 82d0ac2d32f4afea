"""The control `planted`: a weak attack fails it, and so do too few records; a sound attack passes whatever the draw."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.membership.config import MembershipConfig, ScorerName
from tckr.membership.evidence import Evidence
from tckr.membership.planted import BAR, DRAWS, planted
from tckr.membership.scorers import SCORERS, Scorer
from tckr.membership.scorers.references import Tally
from tckr.metrics.estimate import Estimate
from tests.membership.worlds import evidence, membership


@pytest.mark.parametrize(
    ("scorer", "uneven", "passes"),
    [("global_threshold", 3, False), ("rmia_offline", 3, False), ("bavaria_online", 0.5, True)],
)
def test_planted_members_move_by_their_own_spread(scorer: ScorerName, uneven: float, passes: bool) -> None:
    """Moved by the average spread, some hundred times that of quiet records, a threshold for all would find them."""
    generator = np.random.default_rng(0)
    members, spreads = membership(generator, 17, 1200), np.exp(uneven * generator.normal(size=1200))
    signals = 3 * generator.normal(size=1200) + spreads * generator.normal(size=members.shape)
    evidence = Evidence(
        class_names=["a"], labels=np.zeros(1200, dtype=np.int64), members=members, signals={"teacher": signals}
    )
    assert planted(MembershipConfig(scorer=scorer), evidence, "teacher").passed == passes


def quiet(seed: int, references: int, records: int) -> Evidence:
    """Return evidence of which nothing leaks."""
    generator = np.random.default_rng(seed)
    members = membership(generator, references + 1, records)
    signals = 3 * generator.normal(size=records) + generator.normal(size=members.shape)
    return Evidence(
        class_names=["a"], labels=np.zeros(records, dtype=np.int64), members=members, signals={"teacher": signals}
    )


def test_a_sound_attack_passes_whatever_the_draw() -> None:
    """With one draw, 41 of 100 audits of 200 records with 8 reference runs would fail."""
    assert all(planted(MembershipConfig(), quiet(seed, 8, 200), "teacher").passed for seed in range(20))


def test_records_too_few_to_show_a_leak_in_one_run_fail_however_good_the_attack() -> None:
    found = planted(MembershipConfig(), quiet(0, 16, 40), "teacher")
    assert isinstance(found.found, Estimate)
    assert found.found.low > BAR
    assert not found.passed


def test_an_attack_that_finds_too_little_on_average_fails_however_many_records_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound, noise = SCORERS["bavaria_online"], np.random.default_rng(0)

    def weakened(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
        scores = sound.rate(inside, outside, signal)
        return scores + 2 * scores.std() * noise.normal(size=len(scores))

    monkeypatch.setitem(SCORERS, "bavaria_online", Scorer(weakened))
    found = planted(MembershipConfig(), quiet(0, 8, 3000), "teacher")
    assert isinstance(found.found, Estimate)
    assert 0.55 < found.found.high < BAR
    assert found.expected.endswith("found in 16")
    assert not found.passed


def test_few_runs_are_attacked_in_turn_with_members_sampled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    attacked, sound = [], SCORERS["bavaria_online"]

    def watched(inside: Tally, outside: Tally, signal: np.ndarray) -> np.ndarray:
        attacked.append(signal)
        return sound.rate(inside, outside, signal)

    monkeypatch.setitem(SCORERS, "bavaria_online", Scorer(watched))
    world = quiet(0, 2, 200)
    planted(MembershipConfig(), world, "teacher")
    runs = [int(np.abs(world.signals["teacher"] - each).sum(axis=1).argmin()) for each in attacked]
    assert runs == [draw % 3 for draw in range(DRAWS)]
    assert len({each.tobytes() for each in attacked}) == DRAWS


def test_attack_without_power_fails_the_planted_control(monkeypatch: pytest.MonkeyPatch) -> None:
    config, world = MembershipConfig(), evidence(records=1200)
    assert planted(config, world, "teacher").passed
    monkeypatch.setitem(SCORERS, config.scorer, Scorer(lambda inside, outside, signal: np.cos(1e5 * signal)))
    assert not planted(config, world, "teacher").passed
