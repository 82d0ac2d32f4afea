"""Choose the records of a prepared data set that a Teacher may see. Never opens the test split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tckr.data.card import read_members
from tckr.data.images import ImageSet, load_images
from tckr.errors import UserError
from tckr.stages.teach.config import NullTeachConfig, TeachConfig
from tckr.training.batches import TrainingData


def read_records(data: Path, cache: Path, config: TeachConfig, run: int) -> tuple[TrainingData, TrainingData | None]:
    """Return the records to learn and those to select on.

    Args:
        data: a `prepare` artifact.
        cache: folder for decoded images.
        config: its type and `selection` decide.
        run: row of the membership matrix.
    """
    if isinstance(config, NullTeachConfig):
        return labelled(load_images(data / "validation", cache)), None
    pool = load_images(data / "pool", cache)
    members = labelled(pool, pool.rows_of(read_members(data, run)))
    if any((data / "validation").glob("*.parquet")):
        validation = labelled(load_images(data / "validation", cache))
        if len(validation):
            return members, validation
    if config.selection == "best" or config.patience is not None:
        raise UserError(
            "the prepared data has no validation images, and teach.selection or teach.patience needs some. Prepare with a "
            "validation split, or set teach.selection=last and teach.patience=null."
        )
    return members, None


def labelled(images: ImageSet, rows: np.ndarray | None = None) -> TrainingData:
    """Return images (all, or `rows`) with their labels as hard targets."""
    rows = np.arange(len(images)) if rows is None else rows
    return TrainingData(images.images, rows, images.labels[rows])
