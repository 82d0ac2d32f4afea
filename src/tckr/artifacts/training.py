"""Results of a training: the model in `model/`, its history in `history.json`, a summary in `metrics.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tckr.artifacts.document import Document, read_json, write_json

MODEL_FOLDER = "model"
HISTORY_NAME = "history.json"


class TrainingSummary(Document):
    """Summary of the training of a classifier.

    Attributes:
        epochs: number of trained epochs.
        seconds: time of all epochs, over all interruptions.
        best_epoch: the epoch whose weights were kept.
        num_train: images per epoch.
    """

    file_name: ClassVar[str] = "metrics.json"

    epochs: int
    seconds: float
    best_epoch: int
    num_train: int


def write_history(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write the history of a training: one record per epoch of a classifier, or per point of an adapter's loss."""
    write_json(folder / HISTORY_NAME, list(records))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the history of a training; empty if there is none."""
    path = folder / HISTORY_NAME
    return read_json(path) if path.exists() else []
