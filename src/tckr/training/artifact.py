"""The files that a training leaves: model/, history.json, metrics.json."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tckr.disk import write_whole
from tckr.models.classifiers import Classifier
from tckr.training.fit import FitResult

MODEL_FOLDER = "model"


def save_training(folder: Path, model: Classifier, result: FitResult, model_folder: str = MODEL_FOLDER) -> None:
    """Write the trained model in `save_pretrained` layout, and how its training went."""
    model.save(folder / model_folder)
    _write_json(folder / "history.json", [asdict(record) for record in result.history])
    metrics = {
        "epochs": len(result.history),
        "seconds": round(result.seconds, 3),
        "best_epoch": result.best_epoch,
        "num_train": result.num_train,
    }
    _write_json(folder / "metrics.json", metrics)


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2) + "\n"
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
