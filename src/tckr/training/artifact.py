"""Write the results of a training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from tckr.artifacts.training import MODEL_FOLDER, TrainingSummary, write_history
from tckr.models.classifiers import Classifier
from tckr.training.fit import FitResult


def save_training(folder: Path, model: Classifier, result: FitResult, model_folder: str = MODEL_FOLDER) -> None:
    """Write the trained model in `save_pretrained` layout, and the history of its training."""
    model.save(folder / model_folder)
    write_history(folder, [asdict(record) for record in result.history])
    TrainingSummary(
        epochs=len(result.history),
        seconds=round(result.seconds, 3),
        best_epoch=result.best_epoch,
        num_train=result.num_train,
    ).write(folder)
