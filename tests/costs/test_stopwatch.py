"""Paces leave out the first advance and momentary disturbances; everything is passed on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tckr.costs.stopwatch import Lap, Phase, Stopwatch
from tckr.engine.observer import Silent


def test_the_first_advance_also_pays_for_loading_and_is_left_out():
    assert Phase("images", [(10.0, 4), (12.0, 8), (14.0, 12)]).seconds_per_unit == 0.5


def test_a_single_advance_is_all_that_is_known():
    assert Phase("images", [(10.0, 4)]).seconds_per_unit == 2.5
    assert Phase("images").seconds_per_unit == 0


def test_one_disturbed_batch_does_not_count():
    assert Phase("steps", [(1.0, 1), (2.0, 2), (3.0, 3), (60.0, 4), (61.0, 5), (62.0, 6)]).seconds_per_unit == 1


def test_what_does_not_grow_is_the_rest():
    lap = Lap(phases=[Phase("images", [(5.0, 2), (6.0, 4)]), Phase("steps", [(1.0, 1), (2.0, 2)])], seconds=11.0)
    assert lap.fixed_seconds == 11 - 4 * 0.5 - 2 * 1
    assert lap.phase("epochs").units == 0


class Shown(Silent):
    def __init__(self) -> None:
        self.advanced: list[int] = []

    def track(self, step_name: str, total: int, unit: str, done: int = 0):
        from contextlib import nullcontext

        return nullcontext(self.advanced.append)


def test_a_step_is_timed_while_it_is_shown(tmp_path: Path):
    shown = Shown()
    stopwatch = Stopwatch(tmp_path, shown)
    step = SimpleNamespace(name="adapt")
    stopwatch.started(step)  # type: ignore[arg-type]
    cache = tmp_path / "adapt" / "abc.work" / "0123" / "scratch" / "latents.npy"
    cache.parent.mkdir(parents=True)
    with stopwatch.track("adapt", 3, "images") as advance:
        cache.write_bytes(bytes(1000))
        advance(1)
        advance(2)
    manifest = {"seconds": 2.0, "peak_memory_mb": 7, "files": {"a": 30, "b": 12}}
    stopwatch.finished(step, manifest, False)  # type: ignore[arg-type]
    lap = stopwatch.laps["adapt"]
    assert shown.advanced == [1, 2]
    assert (lap.phase("images").units, lap.seconds, lap.peak_memory_mb) == (3, 2.0, 7)
    assert (lap.num_bytes, lap.scratch_bytes) == (42, 1000)


def test_an_advance_by_nothing_has_no_pace(tmp_path: Path):
    stopwatch = Stopwatch(tmp_path, Silent())
    with stopwatch.track("adapt", 3, "images") as advance:
        advance(0)
        advance(2)
    phase = stopwatch.laps["adapt"].phases[0]
    assert phase.units == 2
    assert phase.seconds_per_unit == (phase.moments[1][0] - phase.moments[0][0]) / 2


@pytest.mark.parametrize("times", [[(1.0, 1), (1.0, 2)]])
def test_equal_moments_are_no_error(times):
    assert Phase("images", times).seconds_per_unit == 0
