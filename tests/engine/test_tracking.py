"""The trackers that the settings name are given the numbers of the target's trainings; none of them can end a run."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import tracking

from tckr.engine.execution import ExecutionConfig
from tckr.engine.runner import Runner
from tckr.engine.step import Role, Step, StepContext
from tckr.engine.store import Store
from tckr.engine.tracking import FOLDER, require_trackers
from tckr.errors import UserError
from tests.engine.fakes import FakeConfig, step
from tests.engine.test_ready_queue import Recorder


def measure(config: FakeConfig, context: StepContext) -> None:
    """Stand in for a training of three epochs."""
    for epoch in range(3):
        context.note(epoch, loss=1.0 / (1 + epoch), validation_accuracy=None)
    context.show("pictures", np.full((4, 8, 8, 3), 7, dtype=np.uint8))
    (context.out / "sum.txt").write_text("1")


def train(folder: Path, trackers: list[str], *steps: Step) -> Recorder:
    recorder = Recorder()
    Runner(
        store=Store(folder / "store"),
        execution=ExecutionConfig(output=folder, device="cpu", trackers=trackers),
        log_file=folder / "run" / "log.jsonl",
        observer=recorder,
    ).run(steps)
    return recorder


def training(name: str, role: Role = Role.TARGET) -> Step:
    return replace(step(name, run=int(role is Role.REFERENCE)), function="tests.engine.test_tracking:measure", role=role)


class Kept(tracking.GeneralTracker):
    """A tracker that keeps what it is given."""

    requires_logging_directory = False
    given: list[tuple[str, int | None, dict[str, Any]]] = []  # noqa: RUF012 - of all trackers together
    name = "wandb"

    def __init__(self, project: str, name: str) -> None:
        super().__init__()
        self.place = f"{project}/{name}"

    @property
    def tracker(self) -> None:
        return None

    def start(self) -> None:
        self.given.append((self.place, None, {}))

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        self.given.append((self.place, step, values))


def test_numbers_of_the_target_reach_the_tracker_by_step_and_images_do_not(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Kept)
    monkeypatch.setattr(Kept, "given", [])
    train(tmp_path, ["wandb"], training("teach"), training("teach.1", Role.REFERENCE))
    place = "tckr/run/teach"
    assert Kept.given == [(place, None, {}), *((place, epoch, {"loss": 1.0 / (1 + epoch)}) for epoch in range(3))]


def test_a_tracker_that_fails_is_left_out_with_a_warning(tmp_path, monkeypatch):
    class Away(Kept):
        def log(self, values: dict[str, Any], step: int | None = None) -> None:
            if step == 1:
                raise ConnectionError("nobody answers")
            super().log(values, step)

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Away)
    monkeypatch.setattr(Kept, "given", [])
    recorder = train(tmp_path, ["wandb"], training("teach"))
    assert [line for line in recorder.told if "tracker" in line] == [
        "teach: execution.trackers: wandb gets no more numbers: ConnectionError: nobody answers"
    ]
    assert [number for _, number, _ in Kept.given] == [None, 0]
    assert "finished teach" in recorder.told


def test_a_tracker_that_is_not_installed_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        require_trackers(["tensorboard"])
    require_trackers([])


def test_tensorboard_finds_the_curves_and_the_images(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, ["tensorboard"], training("teach"))
    (folder,) = (tmp_path / "run" / FOLDER).iterdir()
    found = EventAccumulator(str(folder))
    found.Reload()
    assert folder.name == "teach"
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [
        (epoch, pytest.approx(1 / (1 + epoch))) for epoch in range(3)
    ]
    assert found.Images("pictures")[0].width >= 8
    assert (tmp_path / "run" / FOLDER).stat().st_mode & 0o077 == 0
