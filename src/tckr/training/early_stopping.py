"""Decide which epoch of a training is kept and when the training stops; both follow from its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tckr.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        epoch: counted from 0.
        loss: mean over the training images during the epoch.
        validation_accuracy: after the epoch, in [0, 1]; None without validation images.
        learning_rate: of the last step.
    """

    epoch: int
    loss: float
    validation_accuracy: float | None
    learning_rate: float

    def numbers(self, prefix: str = "") -> dict[str, float | None]:
        """Return what was measured, by name."""
        return {f"{prefix}{name}": value for name, value in asdict(self).items() if name != "epoch"}


def kept_epoch(history: Sequence[EpochRecord], selection: str) -> int:
    """Return the epoch whose weights are kept; of equally accurate ones the last, which had the lowest learning rate."""
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
