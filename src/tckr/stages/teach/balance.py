"""Logit adjustment for classes of unequal size, so that the Teacher also predicts small classes."""

from __future__ import annotations

import numpy as np
import torch

UNEVEN = 2.0
"""Minimum ratio of the largest to the smallest class for any adjustment."""


def is_uneven(labels: np.ndarray, num_classes: int) -> bool:
    """Return whether the class sizes of images with these labels (int64 [N]) exceed this ratio."""
    counts = np.bincount(labels, minlength=num_classes)
    return bool(counts.max() > UNEVEN * max(1, counts.min()))


def log_shares(labels: np.ndarray, num_classes: int) -> torch.Tensor:
    """Return the logarithm of every class's share of the images, float32 [K]; a class without images counts as one image."""
    counts = np.bincount(labels, minlength=num_classes).clip(1)
    return torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
