"""Many models at once: processes of one thread give what one by one gives, to the last bit, also when they are killed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tckr.engine.executors.local import LocalExecutor
from tckr.errors import UserError
from tckr.models.classifiers import build_classifier
from tckr.training.checkpoint import read_state
from tckr.training.fit import Task, fit
from tckr.training.losses import CrossEntropy
from tests.training.colours import COLOURS, FAST, colour_data

SEEDS = (1, 2)
NUM_WORKERS = 2


@dataclass(frozen=True)
class Job:
    """One model to train below `folder`; with `killed_after`, both models stop after that epoch and die in it together."""

    folder: Path
    seed: int
    killed_after: int | None = None

    @property
    def scratch(self) -> Path:
        return self.folder / str(self.seed)


def train(job: Job) -> tuple[int, dict[str, np.ndarray], int]:
    """Return the seed, the weights and the number of epochs trained in this call."""
    job.scratch.mkdir(parents=True, exist_ok=True)
    model, trained = build_classifier("embedded:resnet", 3, COLOURS, job.seed), []

    def after_epoch(record):
        trained.append(record.epoch)
        if record.epoch == job.killed_after:
            die_together(job)

    data, validation = colour_data(40, job.seed), colour_data(12, seed=9)
    options = {"device": "cpu", "scratch": job.scratch, "checkpoint_seconds": 0.0, "on_epoch": after_epoch}
    fit(Task(model, data, validation, CrossEntropy(), FAST), seed=job.seed, **options)
    return job.seed, {name: tensor.numpy() for name, tensor in model.state_dict().items()}, len(trained)


def die_together(job: Job) -> None:
    """End the process of the first seed when the other model has come as far; the broken pool then kills the other."""
    (job.scratch / "waiting").touch()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if job.seed == SEEDS[0] and all((job.folder / str(seed) / "waiting").exists() for seed in SEEDS):
            os._exit(1)
        time.sleep(0.01)


def assert_same_bits(found, expected):
    for seed in SEEDS:
        assert found[seed].keys() == expected[seed].keys()
        for name, tensor in expected[seed].items():
            assert np.array_equal(found[seed][name], tensor), (seed, name)


@pytest.mark.usefixtures("one_thread")
def test_models_trained_in_processes_or_killed_there_and_resumed_equal_those_trained_one_by_one(tmp_path):
    one_by_one = {seed: train(Job(tmp_path / "alone", seed))[1] for seed in SEEDS}
    assert not np.array_equal(*(one_by_one[seed]["network.classifier.1.weight"] for seed in SEEDS))
    executor = LocalExecutor(lambda num_workers: 1)
    together = executor.map(train, [Job(tmp_path / "together", seed) for seed in SEEDS], NUM_WORKERS)
    assert_same_bits({seed: weights for seed, weights, _ in together}, one_by_one)

    killed = [Job(tmp_path / "killed", seed, killed_after=1) for seed in SEEDS]
    with pytest.raises(UserError, match="worker process died"):
        list(executor.map(train, killed, NUM_WORKERS))
    assert [len(read_state(job.scratch).history) for job in killed] == [2, 2]
    resumed = [train(Job(tmp_path / "killed", seed)) for seed in SEEDS]
    assert_same_bits({seed: weights for seed, weights, _ in resumed}, one_by_one)
    assert [epochs for _, _, epochs in resumed] == [FAST.epochs - 2] * len(SEEDS)
