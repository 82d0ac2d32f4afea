"""`tckr audit --plan`: which steps are counted at each depth, and that what was measured is what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tckr.artifacts.membership import CANARIES_NAME, MEMBERSHIP_NAME
from tckr.config import Settings, load_settings
from tckr.costs.forecast import Forecast
from tckr.costs.reference_runs import Measurements, bill_after
from tckr.data.groups import GROUPS_NAME
from tckr.data.layouts.description import Layout, write_layout
from tckr.engine.step import Step
from tckr.engine.store import Store
from tckr.running import plan
from tests.cli.test_commands import call

SECONDS = {"prepare": 2, "caption": 10, "adapt": 100, "generate": 400, "teach": 40, "label": 4, "distill": 60}
NUM_MEMBERS, NUM_OTHERS = 200, 300
OVERRIDES = [
    "prepare.source=digits",
    "execution.name=digits",
    "label.views=16",
    "execution.workers=1",
    "execution.threads=2",
]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings whose target run is complete: each step took what `SECONDS` says with two threads, and 1 MB."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(overrides=OVERRIDES)
    store = Store(settings.execution.store)
    store.make()
    for step in plan(settings, "distill"):
        complete(store, step, SECONDS[step.stage])
        if step.stage == "prepare":
            write_layout(store.folder(step), Layout(kind="digits", labels_from="the set", parts=[], classes={}))
            members = np.arange(NUM_MEMBERS + NUM_OTHERS + 6) < NUM_MEMBERS
            np.save(store.folder(step) / MEMBERSHIP_NAME, np.stack([members, ~members]))
            np.save(store.folder(step) / GROUPS_NAME, np.arange(len(members)))
            np.save(store.folder(step) / CANARIES_NAME, (np.arange(len(members)) >= len(members) - 6).astype(np.int8))
    return settings


def complete(store: Store, step: Step, seconds: float, threads: int = 2) -> None:
    sizes = {"a": 400_000, "b": 600_000}
    manifest = {"seconds": seconds, "peak_memory_mb": 1, "files": sizes, "sealed": {}}
    store.folder(step).mkdir(parents=True)
    for name, size in sizes.items():
        (store.folder(step) / name).write_bytes(bytes(size))
    manifest["computed_on"] = {"threads": threads}
    (store.folder(step) / "manifest.json").write_text(json.dumps(manifest))


def asking(*, looks_per_record: int, features: int = 0, denoisings: int = 0) -> float:
    """Return the seconds of queries by hand.

    200 images were labelled in 4 s, 16 views each, and generated in 400 s with 6 x 2 passes.
    """
    records = NUM_MEMBERS + NUM_OTHERS
    return (looks_per_record * records + features * 200) * 4 / (200 * 16) + denoisings * records * 400 / (200 * 12)


def test_reference_runs_under_a_guarantee_train_teachers_though_no_student_needs_one():
    settings = load_settings(preset="dp", overrides=[*OVERRIDES, "audit.num_reference_runs=2", "audit.depth=teacher"])
    costs = {stage: Forecast(seconds=seconds, num_bytes=0, scratch_bytes=0) for stage, seconds in SECONDS.items()}
    card = SimpleNamespace(num_members=NUM_MEMBERS, num_pool=NUM_MEMBERS + NUM_OTHERS)
    without = bill_after(settings, card, 1.0, costs | {"teach": Forecast(seconds=0, num_bytes=0, scratch_bytes=0)})
    assert bill_after(settings, card, 1.0, costs).fastest >= without.fastest + 2 * SECONDS["teach"]


def test_each_reference_run_and_control_under_a_guarantee_pays_once_for_the_teacher_that_labels():
    settings = load_settings(preset="dp", overrides=[*OVERRIDES, "audit.num_reference_runs=2", "audit.depth=distill"])
    costs = {stage: Forecast(seconds=seconds, num_bytes=0, scratch_bytes=0) for stage, seconds in SECONDS.items()}
    card = SimpleNamespace(num_members=NUM_MEMBERS, num_pool=NUM_MEMBERS + NUM_OTHERS)
    slow, fast = (
        bill_after(settings, card, 1.0, costs | {"dp_teacher": Forecast(seconds=seconds, num_bytes=0, scratch_bytes=0)})
        for seconds in (1000, 0)
    )
    assert slow.fastest - fast.fastest == pytest.approx(3 * 1000)  # two runs and the null control; memorizing has none


def test_canaries_are_no_records_of_the_audit(settings):
    found = Measurements.of(settings)
    assert (found.num_members, found.num_others) == found.units == (NUM_MEMBERS, NUM_OTHERS)


def test_widths_are_those_of_groups_where_there_are_some(settings):
    data = Store(settings.execution.store).folder(plan(settings, "prepare")[0])
    np.save(data / GROUPS_NAME, np.arange(NUM_MEMBERS + NUM_OTHERS + 6) // 5)
    assert Measurements.of(settings).units == (NUM_MEMBERS // 5, NUM_OTHERS // 5)


@pytest.mark.parametrize(
    ("depth", "trained", "asked"),
    [
        ("teacher", 40, {"looks_per_record": 5}),
        ("distill", 40 + 4 + 60, {"looks_per_record": 3 * 5 + 1, "features": 1}),
        ("full", 10 + 100 + 400 + 40 + 4 + 60, {"looks_per_record": 3 * 5 + 3, "features": 2, "denoisings": 8}),
    ],
)
def test_a_reference_run_repeats_the_steps_of_its_depth(settings, depth, trained, asked):
    found = Measurements.of(settings).repeated(depth).per_run
    assert sum(cost.seconds for cost in found if cost.measured) == pytest.approx(trained)
    assert sum(cost.seconds for cost in found if not cost.measured) == pytest.approx(asking(**asked))
    assert sum(cost.num_bytes for cost in found if cost.measured) == 1e6 * sum(cost.measured for cost in found)


def test_controls_and_what_all_runs_share_are_counted_once(settings):
    found = Measurements.of(settings)
    once = found.repeated("teacher").once
    trained = {
        "captions of all": 10 * 500 / 200,
        "attacker of the target": 60,
        "Student of the images alone": 60,
        "null": 40,
        "positive": 40 * 100 / 30,
        "unadapted": 0,
    }
    asked = {
        "null and positive": 2 * asking(looks_per_record=5),
        "target": asking(looks_per_record=3 * 5 + 3, features=2, denoisings=8),
        "unadapted": asking(looks_per_record=0, denoisings=8),
    }
    assert sum(cost.seconds for cost in once) == pytest.approx(sum(trained.values()) + sum(asked.values()))


def test_a_reference_run_that_is_complete_is_measured_itself(settings):
    audit = settings.audit.model_copy(update={"num_reference_runs": 2})
    steps = {step.name: step for step in plan(settings.model_copy(update={"audit": audit}))}
    complete(Store(settings.execution.store), steps["teach.1"], 33, threads=1)
    complete(Store(settings.execution.store), steps["signals.1"], 5, threads=1)
    found = Measurements.of(settings).repeated("distill").per_run
    assert all(cost.measured for cost in found)
    assert sum(cost.seconds for cost in found) == pytest.approx(33 + 4 + 60 + 5)


def test_plan_prints_cost_and_width_and_computes_nothing_that_is_complete(settings, monkeypatch, capsys):
    status, out, err = call(monkeypatch, capsys, "audit", "--plan", "--data", "digits", *OVERRIDES[2:])
    assert status == 0
    assert err.count("already complete") == len(SECONDS)
    assert "200 members and 300 non-members" in out
    # 2 * 1.96 * sqrt(501 / (12 * 200 * 300)) = 0.1034; 2 * 2.306 * 0.02638 * sqrt(5.55 / 9) = 0.0955 for 8 runs.
    assert "interval 0.103 wide, and TPR can be measured down to an FPR of 0.33%" in out
    row = next(line for line in out.splitlines() if line.startswith("│ 8 "))
    assert "0.096" in row
    per_run = 40 + 4 + 60 + asking(looks_per_record=16, features=1)
    found = Measurements.of(settings)
    once = sum(cost.seconds for cost in found.repeated("distill").once)
    assert f"{(8 * per_run + once) / 60:.0f} min *" in row
    assert [row.split("│")[1].strip() for row in out.splitlines() if row.startswith("│ ")][::2] == [
        "4",
        "8",
        "16",
        "64",
        "256",
    ]
