"""Data of a training: images with targets, in an order that depends only on (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tckr.data.seeds import derive_seed
from tckr.data.transforms import make_augmentation, mixup, to_device
from tckr.training.config import AugmentConfig


class Examples(Protocol):
    """Training data, epoch by epoch."""

    @property
    def has_hard_targets(self) -> bool:
        """Return whether targets are classes, so that MixUp may blend them."""
        ...

    def __len__(self) -> int:
        """Return the images per epoch."""
        ...

    def batches(
        self, *, batch_size: int, seed: int, epoch: int, num_classes: int, device: str
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images [B, 3, H, W] in [0, 1], targets for the loss) of one epoch on `device`."""
        ...


class Targets(Protocol):
    """An array of targets, or an object that computes its rows on access."""

    @property
    def ndim(self) -> int:
        """Return 1 for classes, more for probabilities."""
        ...

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """Return the targets of `rows`."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """Images and their targets.

    Attributes:
        images: uint8 [M, H, W, 3]; may be a memory map.
        rows: int64 [N], positions of the used images.
        targets: targets of these rows; int64 [N] class indices (hard), or float [N, K] probabilities (soft, float16
            suffices), or
            [N, 2, K] both.
    """

    images: np.ndarray
    rows: np.ndarray
    targets: Targets

    def __post_init__(self) -> None:
        """Check the shapes."""
        assert len(self.rows) == len(self.targets), (len(self.rows), len(self.targets))

    def __len__(self) -> int:
        """Return N."""
        return len(self.rows)

    @property
    def has_hard_targets(self) -> bool:
        """Return whether the targets are class indices."""
        return self.targets.ndim == 1

    def batches(
        self, *, batch_size: int, seed: int, epoch: int, num_classes: int, device: str
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images [B, 3, H, W] in [0, 1], target probabilities [B, K]) of one epoch on `device`."""
        for batch in epoch_batches(len(self), batch_size=batch_size, seed=seed, epoch=epoch):
            targets = target_probabilities(self.targets[batch], num_classes)
            yield to_device(self.images[self.rows[batch]], device), targets.to(device)


def augmented(
    data: Examples, config: AugmentConfig, *, batch_size: int, seed: int, epoch: int, num_classes: int, device: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the augmented batches of an epoch, channels last in memory; random numbers depend on (seed, epoch)."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch))
    augmentation = make_augmentation(config, crop=config.crop, augmix_severity=config.augmix_severity)
    batches = data.batches(batch_size=batch_size, seed=seed, epoch=epoch, num_classes=num_classes, device=device)
    for images_BCHW, targets_BK in batches:
        images_BCHW = augmentation(images_BCHW, generator)
        if config.mixup_alpha and data.has_hard_targets:
            images_BCHW, targets_BK = mixup(images_BCHW, targets_BK, config.mixup_alpha, generator)
        yield images_BCHW.contiguous(memory_format=torch.channels_last), targets_BK


def epoch_batches(count: int, *, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the positions 0..count-1 in the order of an epoch, cut into nearly equal batches of at most `batch_size`.

    They are nearly equal, because a batch of a few remaining images would distort the statistics of batch normalisation.
    """
    order = np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(count)
    return np.array_split(order, -(-count // batch_size))


def smallest_batch(count: int, batch_size: int) -> int:
    """Return the number of images in the smallest batch of `epoch_batches`."""
    return count // -(-count // batch_size)


def target_probabilities(targets: np.ndarray, num_classes: int) -> Tensor:
    """Return float32 [B, K] from class indices [B] or probabilities [B, ..., K]; rounding errors are normalised to sum 1."""
    if targets.ndim == 1:
        return one_hot(torch.from_numpy(targets.astype(np.int64)), num_classes).float()
    assert targets.shape[-1] == num_classes, (targets.shape, num_classes)
    probabilities = torch.from_numpy(targets.astype(np.float32))
    return probabilities / probabilities.sum(dim=-1, keepdim=True)
