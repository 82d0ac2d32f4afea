"""Images as tensors, and augmentation of whole batches on their device. Knows neither models nor labels' meaning.

Every function that draws uses torch's global generator, as kornia does: the caller forks and seeds it.
Shape suffixes: B batch, C 3 colours, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Augmentation = Callable[[Tensor], Tensor]
"""Float images [B, 3, H, W] in [0, 1] to the same."""


def to_device(images_BHWC: np.ndarray, device: torch.device | str) -> Tensor:
    """Return float images [B, 3, H, W] in [0, 1], channels last in memory, of uint8 [B, H, W, 3]."""
    assert images_BHWC.dtype == np.uint8, images_BHWC.dtype
    pixels = torch.from_numpy(np.array(images_BHWC)).to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).float().div_(255.0)


def make_augmentation(*, shift: float, rotation_degrees: float, scale: float, flip: bool, jitter: float) -> Augmentation:
    """Return random changes drawn anew for every image.

    Shift, rotation and scale are one bilinear resampling, so an image is blurred once; with border pixels repeated, a shift
    alone is the paper's padded random crop except that it is not rounded to whole pixels. kornia's cost for it is 7 % of a
    training step of the embedded classifier on one CPU thread.

    Args:
        shift: largest shift along each axis, as a fraction of the side, in [0, 1).
        rotation_degrees: largest rotation, either way.
        scale: largest relative change of size, either way, in [0, 1).
        flip: mirror left and right with probability 0.5.
        jitter: largest relative change of brightness and of contrast, in [0, 1).
    """
    from kornia import augmentation  # slow to import, and not needed where nothing is trained

    steps: list[nn.Module] = []
    if shift or rotation_degrees or scale:
        steps.append(
            augmentation.RandomAffine(
                degrees=rotation_degrees,
                translate=(shift, shift),
                scale=(1 - scale, 1 + scale),
                padding_mode="border",
                p=1.0,
            )
        )
    if flip:
        steps.append(augmentation.RandomHorizontalFlip(p=0.5))
    if jitter:
        steps.append(augmentation.ColorJiggle(brightness=jitter, contrast=jitter, p=1.0))
    return nn.Sequential(*steps)


def mixup(images_BCHW: Tensor, targets_BK: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return each image and its target blended with another one of the batch by one weight ~ Beta(alpha, alpha).

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", with one weight per batch as in the authors' code.
    """
    weight = float(torch.distributions.Beta(alpha, alpha).sample())
    partner = torch.randperm(len(images_BCHW)).to(images_BCHW.device)
    images = weight * images_BCHW + (1 - weight) * images_BCHW[partner]
    return images, weight * targets_BK + (1 - weight) * targets_BK[partner]
