"""Convert synthetic images and labels into training and validation data of a Student. Reads no real image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from tckr.artifacts.soft_labels import SoftLabels
from tckr.data.images import ImageSet
from tckr.data.seeds import derive_seed
from tckr.data.transforms import to_device
from tckr.data.views import make_views
from tckr.errors import UserError
from tckr.models.classifiers import class_columns
from tckr.stages.distill.config import DistillConfig
from tckr.training.batches import Examples, TrainingData, epoch_batches, target_probabilities


@dataclass(frozen=True, kw_only=True)
class SoftTargets:
    """Soft labels of N images as targets, computed when they are accessed.

    Attributes:
        labels: as stored, in any order of images and classes.
        rows: int64 [N], which stored label belongs to each image.
        columns: int64 [K], index of the stored class for each class of the images.
        classes: int64 [N], the prompts' classes, if hard targets are used together with soft ones; else None.
    """

    labels: SoftLabels
    rows: np.ndarray
    columns: np.ndarray
    classes: np.ndarray | None = None

    ndim = 2  # soft targets: MixUp does not apply

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows)

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        """Return the targets of the original images, in the form of `of_views`."""
        return self.of_views(positions, np.zeros(len(positions), dtype=np.int64))

    def of_views(self, positions: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Return the targets [B, K] of view `views[i]` of image `positions[i]`, or [B, 2, K] with soft and hard targets."""
        soft = self.labels.of(self.rows[positions], views)[:, self.columns]
        if self.classes is None:
            return soft
        return np.stack([soft, np.eye(len(self.columns), dtype=soft.dtype)[self.classes[positions]]], axis=1)

    def first_choices(self) -> np.ndarray:
        """Return int64 [N], the most probable class of every original image."""
        place = np.argsort(self.columns)
        return place[self.labels.first_choices()[self.rows]]

    def select(self, positions: np.ndarray) -> SoftTargets:
        """Return the targets of some images."""
        classes = None if self.classes is None else self.classes[positions]
        return replace(self, rows=self.rows[positions], classes=classes)


@dataclass(frozen=True, kw_only=True)
class ViewedData:
    """Images in exactly the views that were labelled: image i has view (epoch + round of i) mod V.

    Synthetic images alternate between classes; a round is one image of each class. So every epoch mixes all views of every
    class, and V epochs show every view of each image.

    Attributes:
        images: uint8 [M, H, W, 3].
        rows: int64 [N], positions of the used images.
        indices: int64 [N], their index in the set.
        targets: soft labels of the used images.
    """

    images: np.ndarray
    rows: np.ndarray
    indices: np.ndarray
    targets: SoftTargets

    has_hard_targets = False

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows)

    def batches(
        self, *, batch_size: int, seed: int, epoch: int, num_classes: int, device: str
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images [B, 3, H, W] in [0, 1], targets) of one epoch on `device`."""
        recipe = self.targets.labels.recipe.views
        for batch in epoch_batches(len(self), batch_size=batch_size, seed=seed, epoch=epoch):
            views = (epoch + self.indices[batch] // num_classes) % recipe.num_views
            images = to_device(self.images[self.rows[batch]], device)
            targets = target_probabilities(self.targets.of_views(batch, views), num_classes)
            yield make_views(images, self.indices[batch], views, recipe), targets.to(device)


def soft_targets(images: ImageSet, class_names: list[str], labels: SoftLabels, config: DistillConfig) -> SoftTargets:
    """Return the targets of `images`, matched by `index`, with classes matched by name."""
    assert len(labels.indices) == len(images), f"{len(labels.indices)} soft labels for {len(images)} images"
    rows = ImageSet(images.images, images.labels, labels.indices).rows_of(images.ids)
    columns = class_columns(labels.class_names, class_names)
    return SoftTargets(labels=labels, rows=rows, columns=columns, classes=images.labels if config.hard_weight else None)


def shows_views(config: DistillConfig, labels: SoftLabels) -> bool:
    """Return whether the Student is trained on the labelled views instead of its own augmentation."""
    return config.labels == "soft" and labels.recipe.views.num_views > 1


def split_synthetic(
    images: ImageSet, targets: SoftTargets, kept: np.ndarray, config: DistillConfig, seed: int
) -> tuple[Examples, TrainingData | None]:
    """Return the images to train on and, with hard targets, those to select on.

    Args:
        images: N synthetic images, labelled with the class of their prompt.
        targets: soft labels of the same images, same order.
        kept: int64, increasing, positions of the images that may be used.
        config: which labels, and the share to hold out.
        seed: seed of the split.

    Raises:
        UserError: the fraction leaves no image to train on, or none to select on although selection needs some.
    """
    order = kept[np.random.default_rng(derive_seed(seed, "synthetic validation")).permutation(len(kept))]
    num_validation = round(config.validation_fraction * len(kept))
    held_out, learned = np.sort(order[:num_validation]), np.sort(order[num_validation:])
    hard = images.labels if config.labels == "hard" else targets.first_choices()
    validation = TrainingData(images.images, held_out, hard[held_out]) if num_validation else None
    found = f"distill.validation_fraction={config.validation_fraction:g} of {len(kept)} synthetic images leaves none to "
    if not len(learned):
        raise UserError(f"{found}train on. Generate more images or lower the fraction.")
    if validation is None and config.needs_validation:
        raise UserError(
            f"{found}select on. Generate more images, raise the fraction, or set distill.selection=last and "
            "distill.patience=null."
        )
    return _learned(images, targets, learned, config), validation


def _learned(images: ImageSet, targets: SoftTargets, rows: np.ndarray, config: DistillConfig) -> Examples:
    if config.labels == "hard":
        return TrainingData(images.images, rows, images.labels[rows])
    chosen = targets.select(rows)
    if shows_views(config, targets.labels):
        return ViewedData(images=images.images, rows=rows, indices=images.ids[rows], targets=chosen)
    return TrainingData(images.images, rows, chosen)
