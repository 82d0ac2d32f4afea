"""Classes of unequal size: what a Teacher's loss takes off its answers so that small classes are answered too."""

from __future__ import annotations

import numpy as np
import torch

from tckr.stages.teach.config import TeachConfig

UNEVEN = 2.0
"""How many times as many images as the smallest class the largest one must have for `auto` to balance."""


def is_balanced(config: TeachConfig, labels: np.ndarray, num_classes: int) -> bool:
    """Return whether a Teacher of images with these labels (int64 [N]) learns as if all classes were equally frequent."""
    counts = np.bincount(labels, minlength=num_classes)
    return config.balance == "on" or (config.balance == "auto" and bool(counts.max() > UNEVEN * max(1, counts.min())))


def log_shares(labels: np.ndarray, num_classes: int) -> torch.Tensor:
    """Return the logarithm of every class's share of the images, float32 [K]; a class without images counts as one."""
    counts = np.bincount(labels, minlength=num_classes).clip(1)
    return torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
