"""Classes of unequal size: what is added to a Teacher's answers in training so that small classes are answered too."""

from __future__ import annotations

import numpy as np
import torch

UNEVEN = 2.0
"""How many times as many images as the smallest class the largest one must have for anything to be evened out."""


def is_uneven(labels: np.ndarray, num_classes: int) -> bool:
    """Return whether the classes of images with these labels (int64 [N]) are of very unequal size."""
    counts = np.bincount(labels, minlength=num_classes)
    return bool(counts.max() > UNEVEN * max(1, counts.min()))


def log_shares(labels: np.ndarray, num_classes: int) -> torch.Tensor:
    """Return the logarithm of every class's share of the images, float32 [K]; a class without images counts as one."""
    counts = np.bincount(labels, minlength=num_classes).clip(1)
    return torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
