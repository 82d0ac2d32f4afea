"""Decisions of a training that follow from its history alone: the rate, which epoch is best, when to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tckr.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        epoch: counted from 0.
        loss: mean over the training images as they were met.
        validation_accuracy: after the epoch, in [0, 1]; None without validation images.
        learning_rate: of the last step.
    """

    epoch: int
    loss: float
    validation_accuracy: float | None
    learning_rate: float


def learning_rate(step: int, num_steps: int, config: TrainingConfig) -> float:
    """Return the rate of step 0..num_steps-1: a straight rise over the warm-up, then half a cosine towards 0."""
    warmup = round(config.warmup_fraction * num_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def kept_epoch(history: Sequence[EpochRecord], selection: str) -> int:
    """Return the epoch whose weights are kept; of equally accurate ones the last, which saw the lowest rate."""
    if selection == "last":
        return history[-1].epoch
    return max(history, key=lambda record: (_accuracy(record), record.epoch)).epoch


def is_finished(history: Sequence[EpochRecord], config: TrainingConfig) -> bool:
    """Return whether all epochs are done, or `patience` of them passed since the accuracy last rose."""
    if len(history) >= config.epochs:
        return True
    if config.patience is None or not history:
        return False
    first_best = max(history, key=lambda record: (_accuracy(record), -record.epoch)).epoch
    return history[-1].epoch - first_best >= config.patience


def _accuracy(record: EpochRecord) -> float:
    assert record.validation_accuracy is not None, "selection and patience need validation images"
    return record.validation_accuracy
