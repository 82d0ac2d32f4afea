"""Two processes train what one trains: same losses, weights and kept epoch, up to rounding; resumed ones to the last bit.

On a CPU, where processes stand for GPUs, torch has no batch normalisation over several processes. So the network here is a
vision transformer, without dropout, for which every process would use other random numbers.
"""

from __future__ import annotations

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tckr.models.classifiers import build_classifier
from tckr.training.averaging import weight_average
from tckr.training.batches import TrainingData
from tckr.training.checkpoint import read_state
from tckr.training.config import AugmentConfig
from tckr.training.data_parallel import can_share_statistics, fit_together, share_statistics
from tckr.training.fit import FitResult, Task, fit
from tckr.training.losses import CrossEntropy, Loss, Mixture, OnlineDistillation, StoredDistillation
from tckr.training.process_group import ALONE, Team, Tell, train_together
from tests.tiny_artifacts import Recorder
from tests.training.colours import COLOURS, FAST, colour_data, write_vit

Trained = dict[str, tuple[FitResult, dict[str, torch.Tensor]]]
SHORT = FAST.model_copy(update={"epochs": 2, "batch_size": 15})
NUM_IMAGES = 37
"""Batches of 13, 12 and 12: shares of 6 and 7, or of 6."""


def make_task(device: str, *, vit: Path, case: str) -> Task:
    """Return one of the ways to train, each with what another process could do wrong."""
    model = build_classifier(str(vit), 3, COLOURS, seed=1, pretrained=False, image_size=32).to(device)
    hard, validation = colour_data(NUM_IMAGES), colour_data(13, seed=1)
    soft = np.eye(3, dtype=np.float32)[hard.targets] * 0.7 + 0.1
    both = np.stack([soft, np.eye(3, dtype=np.float32)[hard.targets]], axis=1)
    targets = {"hard": hard.targets, "soft": both, "online": both}[case]
    data = TrainingData(hard.images, hard.rows, targets)
    if case == "hard":
        changes = {"ema_decay": 0.9, "augment": AugmentConfig(shift=0.1, mixup_alpha=1.0), "gradient_clip": 0.1}
        return Task(model, data, validation, CrossEntropy(0.1), SHORT.model_copy(update=changes))
    mixture = Mixture(temperature=2.0, hard_weight=0.3)
    teacher = build_classifier("embedded:resnet", 3, COLOURS, seed=2).eval()
    online = OnlineDistillation(teacher, torch.arange(3), mixture)
    return Task(model, data, validation, online if case == "online" else StoredDistillation(mixture), SHORT)


def train(folder: Path, vit: Path, case: str, team: Team) -> tuple[FitResult, dict[str, torch.Tensor]]:
    """Train in `folder`; the first process leaves in `folder`-killed what a kill in the last epoch would leave."""
    folder.mkdir(exist_ok=True)
    task = make_task("cpu", vit=vit, case=case)
    killed = folder.with_name(f"{folder.name}-killed")

    def after_epoch(record: object) -> None:
        if team.rank == 0 and not killed.exists():
            shutil.copytree(folder, killed)

    named = {"seed": 5, "device": "cpu", "scratch": folder, "checkpoint_seconds": 0.0, "on_epoch": after_epoch}
    result = fit(task, team=team, **named)
    return result, {name: tensor.clone() for name, tensor in task.model.state_dict().items()}


CASES = {"hard": "hard", "soft": "soft", "online": "online", "resumed": "hard"}


def train_all(folder: Path, vit: Path, team: Team = ALONE) -> Trained:
    """Train every case in its folder; `resumed` goes on from what a kill in `hard` would leave."""
    folder.mkdir(exist_ok=True)
    places = {name: "hard-killed" if name == "resumed" else name for name in CASES}
    return {name: train(folder / place, vit, CASES[name], team) for name, place in places.items()}


def train_shares(team: Team, tell: Tell, *, folder: Path, vit: Path) -> None:
    train_all(folder, vit, team)
    tell("trained")


@pytest.mark.usefixtures("one_thread")
def test_two_processes_train_what_one_trains_and_resume_exactly(tmp_path: Path) -> None:
    vit, folder, told = write_vit(tmp_path / "vit"), tmp_path / "together", []
    alone = train_all(tmp_path / "alone", vit)
    train_together(2, partial(train_shares, folder=folder, vit=vit), "cpu", told.append)
    assert told == ["trained"]
    assert len(read_state(folder / "hard-killed-killed").history) == 2  # it went on after the first epoch
    together = train_all(folder, vit)  # computes nothing: reads what they ended with
    for case, (result, weights) in together.items():
        assert_close(result, alone[case][0])
        for name, tensor in alone[case][1].items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)
    assert together["resumed"][0].history == together["hard"][0].history
    for name, tensor in together["hard"][1].items():
        assert torch.equal(together["resumed"][1][name], tensor), name


def assert_close(result: FitResult, expected: FitResult) -> None:
    assert (result.best_epoch, result.num_train) == (expected.best_epoch, expected.num_train)
    for record, wanted in zip(result.history, expected.history, strict=True):
        assert record.loss == pytest.approx(wanted.loss, rel=1e-4)
        assert (record.validation_accuracy, record.learning_rate) == (wanted.validation_accuracy, wanted.learning_rate)


class OtherNorm(nn.BatchNorm2d):
    """Stands in for a layer that a library defines itself."""


def test_batch_normalisation_that_cannot_cover_the_complete_batch_has_one_process() -> None:
    assert can_share_statistics(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), "cpu")
    assert not can_share_statistics(nn.Sequential(nn.BatchNorm2d(2)), "cpu")
    assert can_share_statistics(nn.Sequential(nn.BatchNorm2d(2)), "cuda")
    assert not can_share_statistics(nn.Sequential(nn.BatchNorm2d(2), OtherNorm(2)), "cuda")


def test_a_network_that_only_one_process_can_train_is_trained_with_a_warning(tmp_path: Path) -> None:
    config = SHORT.model_copy(update={"epochs": 1, "selection": "last"})
    task = Task(build_classifier("embedded:resnet", 3, COLOURS, seed=1), colour_data(8), None, CrossEntropy(), config)
    recorder = Recorder()
    result = fit_together(task, lambda device: task, gpus=2, seed=5, device="cpu", scratch=tmp_path, log=recorder.log)
    assert len(result.history) == 1
    warning, training = recorder.events
    assert "one process trains this network" in warning["message"]
    assert training == {"event": "training", "processes": 1}


def test_a_network_that_shares_its_statistics_has_the_same_weights_and_logits() -> None:
    model, images = build_classifier("embedded:resnet", 3, COLOURS, seed=1), torch.rand(4, 3, 32, 32)
    expected = build_classifier("embedded:resnet", 3, COLOURS, seed=1)
    share_statistics(model)
    assert any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    assert torch.equal(model.train()(images), expected.train()(images))
    averaged = weight_average(model, 0.9).module
    assert torch.equal(averaged(images), expected.eval()(images))
    assert model.state_dict().keys() == expected.state_dict().keys()


def killed_once(device: str, *, vit: Path, mark: Path) -> Task:
    """Return a task whose second process is killed in its second epoch, once."""
    task = make_task(device, vit=vit, case="hard")
    return task._replace(loss=Killing(task.loss, mark))


class Killing:
    """A loss that kills the second of two processes at its fifth step, once."""

    def __init__(self, loss: Loss, mark: Path) -> None:
        self.loss, self.mark, self.steps = loss, mark, 0

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        if os.environ.get("RANK") == "1" and self.steps == 5 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.loss(logits, targets, images)


@pytest.mark.usefixtures("one_thread")
def test_a_training_one_of_whose_processes_is_killed_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    vit, epochs, scratch = write_vit(tmp_path / "vit"), [], tmp_path / "scratch"
    scratch.mkdir()
    make = partial(killed_once, vit=vit, mark=tmp_path / "killed")
    named = {"seed": 5, "device": "cpu", "scratch": scratch, "log": lambda *_, **__: None}
    task = make("cpu")
    result = fit_together(task, make, gpus=2, on_epoch=lambda record: epochs.append(record.epoch), **named)
    assert (tmp_path / "killed").exists()
    expected, weights = train(tmp_path / "alone", vit, "hard", ALONE)
    assert_close(result, expected)
    for name, tensor in weights.items():
        torch.testing.assert_close(task.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    assert sorted(set(epochs)) == [0, 1]
