"""Losses of a training, computed from the logits, the targets and the augmented images of the logits.

Shape suffixes: B batch, C 3 colours, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Loss(Protocol):
    """Score a batch of predictions."""

    def __call__(self, logits_BK: Tensor, targets: Tensor, images_BCHW: Tensor, /) -> Tensor:
        """Return the mean loss of the batch, a scalar."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Compare with given probabilities: `-sum_k t_k log p_k`, after `t <- (1 - s) t + s / K` (label smoothing s).

    Attributes:
        label_smoothing: s.
        log_shares: logarithm of the classes' shares of the training images, or a part of it, added to the logits only in
            training, so that the model predicts as if all classes were equally frequent (Menon et al. 2021, eq. 10), or
            more equally. None adds nothing.
    """

    label_smoothing: float = 0.0
    log_shares: Tensor | None = None

    def __call__(self, logits_BK: Tensor, targets_BK: Tensor, images_BCHW: Tensor) -> Tensor:
        """Return the mean over the batch; the images are not used."""
        if self.log_shares is not None:
            logits_BK = logits_BK + self.log_shares.to(logits_BK.device)
        return soft_cross_entropy(logits_BK, smoothed(targets_BK, self.label_smoothing))


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Combine the Teacher's labels and the class of the prompt: `(1 - w) T^2 CE(soft, z / T) + w CE(class, z)`.

    Hinton et al. 2015, section 2: T divides both models' logits, and T^2 preserves the size of the gradient. The
    cross-entropy with soft targets differs from their Kullback-Leibler divergence by a constant.

    Attributes:
        temperature: T, the temperature of `soft`.
        hard_weight: w in [0, 1].
        label_smoothing: share of the class that is spread over all classes.
    """

    temperature: float = 1.0
    hard_weight: float = 0.0
    label_smoothing: float = 0.0

    def __call__(self, logits_BK: Tensor, soft_BK: Tensor, hard_BK: Tensor | None) -> Tensor:
        """Return the mean over the batch; `hard_BK` may be None if the weight is 0."""
        soft = self.temperature**2 * soft_cross_entropy(logits_BK / self.temperature, soft_BK)
        if hard_BK is None:
            return soft
        hard = soft_cross_entropy(logits_BK, smoothed(hard_BK, self.label_smoothing))
        return (1 - self.hard_weight) * soft + self.hard_weight * hard


@dataclass(frozen=True)
class StoredDistillation:
    """Train on stored soft labels: targets [B, K], or [B, 2, K] with soft and hard ones.

    Attributes:
        mixture: combination of soft and hard.
        stored_temperature: temperature of the soft ones.
    """

    mixture: Mixture
    stored_temperature: float = 1.0

    def __call__(self, logits_BK: Tensor, targets: Tensor, images_BCHW: Tensor) -> Tensor:
        """Return the mean over the batch; the images are not used."""
        soft_BK, hard_BK = _soft_and_hard(targets)
        return self.mixture(logits_BK, at_temperature(soft_BK, self.stored_temperature, self.mixture.temperature), hard_BK)


@dataclass(frozen=True)
class OnlineDistillation:
    """Train on the Teacher's predictions for the same augmented view, as in the paper; given soft targets are ignored.

    Attributes:
        teacher: returns logits [B, K] of images [B, 3, H, W], on the training's device.
        columns: int64 [K], the Teacher's logit of each class of the Student (`class_columns`).
        mixture: combination of soft and hard.
    """

    teacher: Callable[[Tensor], Tensor]
    columns: Tensor
    mixture: Mixture = Mixture()

    def __call__(self, logits_BK: Tensor, targets: Tensor, images_BCHW: Tensor) -> Tensor:
        """Return the mean over the batch."""
        with torch.no_grad():
            teacher_BK = self.teacher(images_BCHW)[:, self.columns.to(logits_BK.device)]
        return self.mixture(logits_BK, soften(teacher_BK, self.mixture.temperature), _soft_and_hard(targets)[1])


def smoothed(targets_BK: Tensor, smoothing: float) -> Tensor:
    """Return `(1 - s) t + s / K` (label smoothing s)."""
    return (1 - smoothing) * targets_BK + smoothing / targets_BK.shape[1]


def soft_cross_entropy(logits_BK: Tensor, targets_BK: Tensor) -> Tensor:
    """Return the mean over the batch of `-sum_k t_k log softmax(logits)_k`."""
    return -(targets_BK * logits_BK.log_softmax(dim=1)).sum(dim=1).mean()


def soften(logits_BK: Tensor, temperature: float) -> Tensor:
    """Return probabilities [B, K], `softmax(logits / temperature)` (Hinton et al. 2015)."""
    return (logits_BK / temperature).softmax(dim=1)


def at_temperature(probabilities_BK: Tensor, given: float, wanted: float) -> Tensor:
    """Return probabilities of a softmax at temperature `given` as they are at `wanted`: `p^(given / wanted)`, normalised.

    Exact, except that a probability which was stored as 0 (in float16: below 3e-8) stays 0.
    """
    if given == wanted:
        return probabilities_BK
    powers_BK = probabilities_BK ** (given / wanted)
    return powers_BK / powers_BK.sum(dim=1, keepdim=True)


def _soft_and_hard(targets: Tensor) -> tuple[Tensor, Tensor | None]:
    return (targets, None) if targets.ndim == 2 else (targets[:, 0], targets[:, 1])
