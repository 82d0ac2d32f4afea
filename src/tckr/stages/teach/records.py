"""Choose the records of a prepared data set that a Teacher is trained on. Never opens the test split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tckr.artifacts.membership import VALIDATION_RUN, read_members, split_of
from tckr.data.images import ImageSet, load_images
from tckr.errors import UserError
from tckr.stages.teach.config import TeachConfig
from tckr.training.batches import TrainingData


def read_records(data: Path, cache: Path, config: TeachConfig, run: int) -> tuple[TrainingData, TrainingData | None]:
    """Return the records to train on and those to validate on.

    Args:
        data: a `prepare` artifact.
        cache: folder for decoded images.
        config: `selection` and `patience` decide whether the latter are needed.
        run: row of the membership matrix. Without need only a Teacher on the target's members is validated: the report shows
            its accuracy after each epoch. The null control is trained on the validation split and never validated.
    """
    images = load_images(data / split_of(run), cache)
    members = labelled(images, images.rows_of(read_members(data, run)))
    wanted = config.needs_validation or run == 0
    if wanted and run != VALIDATION_RUN and any((data / "validation").glob("*.parquet")):
        validation = labelled(load_images(data / "validation", cache))
        if len(validation):
            return members, validation
    if config.needs_validation:
        raise UserError(
            "the prepared data has no validation images, but teach.selection or teach.patience needs some. Prepare with a "
            "validation split, or set teach.selection=last and teach.patience=null."
        )
    return members, None


def labelled(images: ImageSet, rows: np.ndarray | None = None) -> TrainingData:
    """Return images (all, or `rows`) with their labels as hard targets."""
    rows = np.arange(len(images)) if rows is None else rows
    return TrainingData(images.images, rows, images.labels[rows])
