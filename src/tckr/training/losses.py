"""What a training minimises. A loss sees the logits, the targets and the very images that gave the logits.

Shape suffixes: B batch, C 3 colours, H height, W width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tckr.models.classifiers import Classifier


class Loss(Protocol):
    """Score a batch of predictions."""

    def __call__(self, logits_BK: Tensor, targets_BK: Tensor, images_BCHW: Tensor) -> Tensor:
        """Return the mean loss of the batch, a scalar."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Compare with given probabilities: `-sum_k t_k log p_k`, after `t <- (1 - s) t + s / K` (label smoothing s)."""

    label_smoothing: float = 0.0

    def __call__(self, logits_BK: Tensor, targets_BK: Tensor, images_BCHW: Tensor) -> Tensor:
        """Return the mean over the batch; the images are not looked at."""
        smoothing = self.label_smoothing
        return soft_cross_entropy(logits_BK, (1 - smoothing) * targets_BK + smoothing / targets_BK.shape[1])


@dataclass(frozen=True)
class OnlineDistillation:
    """Compare with what the Teacher says of the same augmented view (the paper's soft labels); given targets are ignored.

    Attributes:
        teacher: in evaluation mode, on the training's device.
        columns: int64 [K], order of the Teacher's logits that is the Student's (`class_columns`).
        temperature: divides the Teacher's logits.
    """

    teacher: Classifier
    columns: Tensor
    temperature: float = 1.0

    def __call__(self, logits_BK: Tensor, targets_BK: Tensor, images_BCHW: Tensor) -> Tensor:
        """Return the mean over the batch."""
        with torch.no_grad():
            teacher_BK = self.teacher(images_BCHW)[:, self.columns.to(logits_BK.device)]
        return soft_cross_entropy(logits_BK, soften(teacher_BK, self.temperature))


def soft_cross_entropy(logits_BK: Tensor, targets_BK: Tensor) -> Tensor:
    """Return the mean over the batch of `-sum_k t_k log softmax(logits)_k`."""
    return -(targets_BK * logits_BK.log_softmax(dim=1)).sum(dim=1).mean()


def soften(logits_BK: Tensor, temperature: float) -> Tensor:
    """Return probabilities [B, K], `softmax(logits / temperature)` (Hinton et al. 2015)."""
    return (logits_BK / temperature).softmax(dim=1)
