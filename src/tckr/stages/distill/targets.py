"""Turn synthetic images and labels into what a Student learns and what it is selected on. Reads nothing real."""

from __future__ import annotations

import numpy as np

from tckr.data.images import ImageSet
from tckr.data.seeds import derive_seed
from tckr.errors import UserError
from tckr.stages.distill.config import DistillConfig
from tckr.training.batches import TrainingData


def split_synthetic(
    images: ImageSet, soft_labels: np.ndarray, config: DistillConfig, seed: int
) -> tuple[TrainingData, TrainingData | None]:
    """Return the images to learn and, with hard targets, those to select on.

    Args:
        images: N synthetic images, labelled with the class of their prompt.
        soft_labels: float16 [N, K] of the same images, same order.
        config: which labels, how much to hold out.
        seed: of the split.

    Raises:
        UserError: the fraction leaves no image to learn from, or none to select on where selection needs some.
    """
    order = np.random.default_rng(derive_seed(seed, "synthetic validation")).permutation(len(images))
    num_validation = round(config.validation_fraction * len(images))
    held_out, learned = np.sort(order[:num_validation]), np.sort(order[num_validation:])
    hard = images.labels if config.labels == "hard" else np.asarray(soft_labels.argmax(axis=1))
    targets = hard if config.labels == "hard" else soft_labels  # online: replaced by the loss; soft, so that no MixUp
    validation = TrainingData(images.images, held_out, hard[held_out]) if num_validation else None
    if not len(learned):
        raise UserError(
            f"distill.validation_fraction={config.validation_fraction:g} of {len(images)} synthetic images leaves none to "
            "learn from. Generate more images or lower the fraction."
        )
    if validation is None and (config.selection == "best" or config.patience is not None):
        raise UserError(
            f"distill.validation_fraction={config.validation_fraction:g} of {len(images)} synthetic images leaves none to "
            "select on. Generate more images, raise the fraction, or set distill.selection=last and distill.patience=null."
        )
    return TrainingData(images.images, learned, targets[learned]), validation


def align_soft_labels(images: ImageSet, indices: np.ndarray, soft_labels: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the soft labels [N, K] of `images` in their order, with classes in the order `columns`.

    Args:
        images: their ids are the `index` of synthetic images.
        indices: int64 [N], `index` of every soft label.
        soft_labels: float16 [N, K].
        columns: int64 [K] (`class_columns`).
    """
    assert len(indices) == len(images), f"{len(indices)} soft labels for {len(images)} images"
    rows = ImageSet(images.images, images.labels, indices).rows_of(images.ids)
    if np.array_equal(rows, np.arange(len(rows))) and np.array_equal(columns, np.arange(len(columns))):
        return soft_labels  # the usual case: keep the memory map
    return soft_labels[rows][:, columns]
