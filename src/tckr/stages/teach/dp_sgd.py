"""Continue the training of a classifier on private images with DP-SGD (Abadi et al. 2016, Algorithm 1).

Linear layers and convolutions learn; all other weights stay. Normalization layers use the statistics of the images that the
classifier learned before: those of a batch would make the gradient of a unit depend on other units.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tckr.artifacts.guarantee import TeacherInputs
from tckr.data.seeds import derive_seed
from tckr.data.transforms import Augmentation, make_augmentation, to_device
from tckr.errors import UserError
from tckr.models.classifiers import Classifier
from tckr.models.ghost_clipping import is_supported, refuse_mixing, sum_of_clipped
from tckr.models.memory import BatchLimit
from tckr.privacy.units import Units
from tckr.stages.teach.config import DpTeachConfig
from tckr.training import checkpoint
from tckr.training.batches import TrainingData
from tckr.training.early_stopping import EpochRecord
from tckr.training.fit import FitResult, new_classifier, seeded
from tckr.training.schedule import learning_rate, set_learning_rate

PER_PASS = 128
"""Maximum number of images in a pass."""


CHECKPOINT_SECONDS = 2.0
"""Minimum time between two checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What a classifier learns with noise.

    Attributes:
        data: images with their classes.
        units: the unit of each of them.
        inputs: sampling, steps and noise, as the guarantee states them.
        expected: expected number of units in a step, from the noisy count.
        seed: determines sampling, augmentation and noise; must be secret.
    """

    data: TrainingData
    units: Units
    inputs: TeacherInputs
    expected: float
    seed: int

    @property
    def num_epochs(self) -> int:
        """Return the number of epochs; each has as many steps as are expected to take each unit once."""
        return math.ceil(self.inputs.steps / self.steps_per_epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Return the number of steps in an epoch but the last."""
        return math.ceil(1 / self.inputs.sampling_rate)


def continue_with_noise(
    model: Classifier,
    lessons: Lessons,
    config: DpTeachConfig,
    *,
    device: str,
    scratch: Path,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> FitResult:
    """Train `model` in place; a killed training continues from its checkpoint in `scratch` with the same units and noise."""
    learning = _make_learn(model.to(device))
    _refuse_mixing(model, learning, device)
    trained = [weights for layer in learning for weights in layer.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=config.weight_decay, fused=True)
    state = checkpoint.resume(scratch, {"model": model}, optimizer)
    writer = checkpoint.Writer(scratch / checkpoint.CHECKPOINT, CHECKPOINT_SECONDS)
    limit = BatchLimit(PER_PASS)
    steps, per_epoch = lessons.inputs.steps, lessons.steps_per_epoch
    while (first := len(state.history) * per_epoch) < steps:
        started, losses = time.perf_counter(), []
        for step in range(first, min(first + per_epoch, steps)):
            rate = learning_rate(step, steps, peak=config.learning_rate, warmup_fraction=config.warmup_fraction)
            set_learning_rate(optimizer, rate)
            with seeded(derive_seed(lessons.seed, "step", step), device):
                losses.append(_set_noisy_gradient(model, learning, lessons, config, limit, step=step, device=device))
            optimizer.step()
        record = EpochRecord(
            epoch=len(state.history), loss=float(np.mean(losses)), validation_accuracy=None, learning_rate=rate
        )
        state.history.append(record)
        state.seconds += time.perf_counter() - started
        if writer.is_due() or first + per_epoch >= steps:
            writer.write(checkpoint.state_tensors({"model": model}, optimizer), state.as_metadata())
        on_epoch(record)
    if not all(bool(weights.isfinite().all()) for weights in trained):
        raise UserError(
            f"the training with noise diverged at teach.learning_rate={config.learning_rate:g}; lower it. The budget is "
            "spent: a new run spends it again"
        )
    return FitResult(
        history=state.history, best_epoch=len(state.history) - 1, seconds=state.seconds, num_train=len(lessons.data)
    )


def refuse_network(config: DpTeachConfig, class_names: Sequence[str]) -> None:
    """Raise a `UserError` if this network cannot be trained with noise, before anything is computed for it."""
    model = new_classifier(config, class_names, 0)
    _refuse_mixing(model, _make_learn(model), "cpu")


def _augmentation(config: DpTeachConfig) -> Augmentation:
    return make_augmentation(config.augment, crop=config.augment.crop, augmix_severity=config.augment.augmix_severity)


def _make_learn(model: Classifier) -> list[nn.Module]:
    """Freeze everything but the layers that learn, and return these: all supported ones that share no weights."""
    model.eval().requires_grad_(False)
    owners = Counter(weights for layer in model.modules() for weights in layer._parameters.values() if weights is not None)
    found = [layer for layer in model.modules() if is_supported(layer)]
    alone = [layer for layer in found if all(owners[weights] == 1 for weights in layer.parameters())]
    return [layer.requires_grad_(True) for layer in alone]


def _refuse_mixing(model: Classifier, learning: list[nn.Module], device: str) -> None:
    """Raise a `UserError` if images of a batch influence one another; random images answer this."""
    random = torch.Generator().manual_seed(0)
    images_BCHW = torch.rand(3, 3, *model.spec.input_size, generator=random).to(device)

    def losses_of(samples: torch.Tensor) -> torch.Tensor:
        return model(images_BCHW[samples]).square().sum(1)

    refuse_mixing(learning, losses_of, torch.arange(len(images_BCHW), device=device))


def _set_noisy_gradient(
    model: Classifier,
    learning: list[nn.Module],
    lessons: Lessons,
    config: DpTeachConfig,
    limit: BatchLimit,
    *,
    step: int,
    device: str,
) -> float:
    """Set the gradient to the noisy mean of the clipped gradients of sampled units; return their mean loss."""
    rng = np.random.default_rng(derive_seed(lessons.seed, "units", step))
    taken, augment = lessons.units.sample(lessons.inputs.sampling_rate, rng), _augmentation(config)
    clip, data = lessons.inputs.clip, lessons.data

    def clipped(part: range) -> tuple[list[torch.Tensor], torch.Tensor]:
        rows = taken[part.start : part.stop]
        views = torch.Generator().manual_seed(derive_seed(lessons.seed, "views", step, part.start))
        images_BCHW = augment(to_device(data.images[data.rows[rows]], device), views)
        targets_B = torch.as_tensor(data.targets[rows], dtype=torch.int64, device=device)

        def losses_of(samples: torch.Tensor) -> torch.Tensor:
            logits_BK = model(images_BCHW[samples])
            return cross_entropy(logits_BK, targets_B[samples], reduction="none", label_smoothing=config.label_smoothing)

        return sum_of_clipped(learning, losses_of, torch.arange(len(rows), device=device), clip)

    trained, total = [weights for layer in learning for weights in layer.parameters()], 0.0
    sums = [torch.zeros_like(weights) for weights in trained]
    for parts, losses in limit.split(clipped, len(taken)):
        total += float(losses.sum())
        for whole, part in zip(sums, parts, strict=True):
            whole += part
    noise = np.random.default_rng(derive_seed(lessons.seed, "noise", step))  # torch's would use 32 bits of the seed
    for weights, whole in zip(trained, sums, strict=True):
        drawn = torch.from_numpy(noise.standard_normal(whole.shape, dtype=np.float32)).to(device)
        weights.grad = (whole + lessons.inputs.noise_multiplier * clip * drawn) / lessons.expected
    return total / max(1, len(taken))
