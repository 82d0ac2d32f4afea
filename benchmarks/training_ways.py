"""The ways of training many classifiers that `reference_training.py` compares. None of them knows the clock.

Every way trains the same models: run `r` has its own seed, its own members, its own order and its own augmentation, as
`tckr.training.fit` gives them. A way takes a task and returns the weights of every run.

Shape suffixes: R runs (models), B batch, C colours, H height, W width, K classes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

from tckr.data.seeds import derive_seed
from tckr.engine.executors.local import LocalExecutor
from tckr.models.classifiers import Classifier, build_classifier
from tckr.models.classifiers.embedded import PLAIN as SPEC
from tckr.training.batches import TrainingData, augmented
from tckr.training.config import TrainingConfig
from tckr.training.fit import Task as FitTask
from tckr.training.fit import fit, measure_accuracy, seeded
from tckr.training.losses import CrossEntropy
from tckr.training.schedule import learning_rate

NAMES = [str(digit) for digit in range(10)]
SIZE = 32
LOSS = CrossEntropy(label_smoothing=0.1)
Weights = dict[str, np.ndarray]
Way = Callable[["Task", Sequence[int]], list[Weights]]


@dataclass(frozen=True)
class Task:
    """What every way trains.

    Attributes:
        model: `embedded` or `resnet18`.
        num_members: training images of each run.
        num_validation: images whose accuracy is measured after each epoch.
        batch_size: images per step.
        epochs: passes over the members.
        device: torch device name.
        precision: `float32`, `tf32`, `bfloat16` (autocast) or, to check results, `float64`; of all ways alike.
    """

    model: str
    num_members: int
    num_validation: int
    batch_size: int
    epochs: int
    device: str
    precision: str

    @property
    def config(self) -> TrainingConfig:
        """Return TCKR's default training of the Teacher, with this task's length; every way does what it says."""
        precision = "bfloat16" if self.precision == "bfloat16" else "float32"
        return TrainingConfig(epochs=self.epochs, batch_size=self.batch_size, selection="last", precision=precision)

    def __post_init__(self) -> None:
        """Refuse batches of two sizes: a recorded graph has one."""
        assert self.num_members % self.batch_size == 0, (self.num_members, self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Return the steps of one pass over the members."""
        return self.num_members // self.batch_size

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, which is the same for all runs, because they have equally many members."""
        return learning_rate(
            step,
            self.epochs * self.steps_per_epoch,
            peak=self.config.learning_rate,
            warmup_fraction=self.config.warmup_fraction,
        )

    def members(self, run: int) -> TrainingData:
        """Return what run `run` learns."""
        images, labels = pictures(2 * self.num_members + self.num_validation)
        rows = np.sort(np.random.default_rng(run).permutation(2 * self.num_members)[: self.num_members])
        return TrainingData(images, rows, labels[rows])

    def validation(self) -> TrainingData:
        """Return the images that no run learns."""
        images, labels = pictures(2 * self.num_members + self.num_validation)
        rows = np.arange(2 * self.num_members, len(images))
        return TrainingData(images, rows, labels[rows])

    def forward_precision(self) -> AbstractContextManager[object]:
        """Return the context of forward passes; for the process, let float32 products round to TF32 or not."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision in ("tf32", "bfloat16")
        return torch.autocast(self.device, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()


@cache
def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [count, 32, 32, 3] and labels of scikit-learn's digits, repeated when there are too few."""
    digits = load_digits()
    rows = np.arange(count) % len(digits.images)
    small = [Image.fromarray((digit * 15.9).astype(np.uint8)) for digit in digits.images[:count]]
    large = np.stack([np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR).convert("RGB")) for image in small])
    return large[rows], digits.target[rows].astype(np.int64)


def new_model(task: Task, run: int) -> Classifier:
    """Return the untrained model of a run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run)
        embedded = task.model == "embedded"
        model = build_classifier("embedded:resnet", len(NAMES), NAMES, run) if embedded else Classifier(resnet18(), SPEC)
    return model.double() if task.precision == "float64" else model


def resnet18() -> ResNetForImageClassification:
    """Return ResNet-18 for 32 px images: a 3 x 3 stem of stride 1 and no pooling, as is usual for CIFAR."""
    names = dict(enumerate(NAMES))
    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )
    network = ResNetForImageClassification(config)
    stem = network.resnet.embedder
    stem.embedder, stem.pooler = ResNetConvLayer(3, 64, kernel_size=3, stride=1), nn.Identity()
    return network


def train_plainly(task: Task, runs: Sequence[int]) -> list[Weights]:
    """Train one model after another in the loop that one writes with PyTorch: default layout, default AdamW."""
    return [_train_one_plainly(task, run) for run in runs]


def _train_one_plainly(task: Task, run: int) -> Weights:
    model = new_model(task, run).to(task.device)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=task.config.weight_decay)
    data, validation = task.members(run), task.validation()
    batches = partial(
        augmented,
        data,
        task.config.augment,
        batch_size=task.batch_size,
        seed=run,
        num_classes=len(NAMES),
        device=task.device,
    )
    for epoch in range(task.epochs):
        model.train()
        with seeded(derive_seed(run, "epoch", epoch), task.device):
            for position, (images_BCHW, targets_BK) in enumerate(batches(epoch=epoch)):
                optimizer.param_groups[0]["lr"] = task.rate(epoch * task.steps_per_epoch + position)
                with task.forward_precision():
                    loss = LOSS(model(images_BCHW), targets_BK, images_BCHW)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), task.config.gradient_clip)
                optimizer.step()
        measure_accuracy(model, validation, task.batch_size)
    return on_host(model.state_dict())


def train_with_fit(task: Task, runs: Sequence[int]) -> list[Weights]:
    """Train one model after another with TCKR's `fit`, checkpoints and all."""
    return [_fit_one(task, run) for run in runs]


def _fit_one(task: Task, run: int) -> Weights:
    model = new_model(task, run)
    with tempfile.TemporaryDirectory() as scratch, task.forward_precision():
        data, validation = task.members(run), task.validation()
        fit(FitTask(model, data, validation, LOSS, task.config), seed=run, device=task.device, scratch=Path(scratch))
    return on_host(model.state_dict())


class Processes:
    """Train with `fit` in worker processes, as the runner does for reference runs; the cores are shared among them."""

    def __init__(self, num_workers: int, threads_per_worker: int) -> None:
        self.num_workers = num_workers
        self.cpu_seconds = 0.0
        self.executor = LocalExecutor(lambda num_workers: threads_per_worker)

    def __call__(self, task: Task, runs: Sequence[int]) -> list[Weights]:
        """Return the weights, and add the CPU seconds of the workers to `cpu_seconds`."""
        found = {}
        for run, weights, seconds in self.executor.map(partial(_fit_in_worker, task), runs, self.num_workers):
            found[run] = weights
            self.cpu_seconds += seconds
        return [found[run] for run in runs]


def _fit_in_worker(task: Task, run: int) -> tuple[int, Weights, float]:
    started = time.process_time()
    weights = _fit_one(task, run)
    return run, weights, time.process_time() - started


def on_host(state: dict[str, Tensor]) -> Weights:
    """Return tensors as arrays, in the plain layout."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in state.items()}
