"""Convert images to tensors, and augment complete batches on their device.

All random numbers come from the given generator on the host, so that they are the same on a GPU and a CPU.
Shape suffixes: B batch, C 3 colours, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from tckr.data.augmix import augmix
from tckr.data.variation import Variation

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Float images [B, 3, H, W] in [0, 1] -> the same form, with random numbers from a generator of the host."""


def to_device(images_BHWC: np.ndarray, device: torch.device | str) -> Tensor:
    """Return uint8 [B, H, W, 3] as float images [B, 3, H, W] in [0, 1], channels last in memory."""
    assert images_BHWC.dtype == np.uint8, images_BHWC.dtype
    pixels = torch.from_numpy(images_BHWC if images_BHWC.flags.writeable else np.array(images_BHWC))
    if torch.device(device).type == "cuda":
        pixels = pixels.pin_memory()  # the copy then runs in parallel with the computation
    pixels = pixels.to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).float().div_(255.0)


def make_augmentation(ranges: Variation, *, crop: float = 0.0, augmix_severity: float = 0.0) -> Augmentation:
    """Return a function that augments every image independently, in this order: affine, flip, crop, AugMix, jitter.

    Args:
        ranges: ranges of shift, rotation, scale, flip and jitter.
        crop: black border added before a random crop of the old size, as a fraction of the side, in [0, 1).
        augmix_severity: severity of AugMix, in [0, 10]; 0 is off.
    """
    steps: list[Augmentation] = []
    if ranges.shift or ranges.rotation_degrees or ranges.scale:
        steps.append(partial(random_affine, ranges=ranges))
    if ranges.flip:
        steps.append(random_flip)
    if crop:
        steps.append(partial(padded_crop, fraction=crop))
    if augmix_severity:
        steps.append(partial(_augmix, severity=augmix_severity))
    if ranges.jitter:
        steps.append(partial(colour_jitter, largest=ranges.jitter))
    return partial(_apply, steps)


def _apply(steps: list[Augmentation], images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    for step in steps:
        images_BCHW = step(images_BCHW, generator)
    return images_BCHW


def _augmix(images_BCHW: Tensor, generator: torch.Generator, *, severity: float) -> Tensor:
    return augmix(images_BCHW, severity, generator)


def random_affine(images_BCHW: Tensor, generator: torch.Generator, *, ranges: Variation) -> Tensor:
    """Return images rotated, scaled and shifted in a single bilinear resampling, to avoid blur; edges are repeated."""
    from kornia.geometry.transform import get_affine_matrix2d, warp_affine  # slow to import, not needed for inference

    count, (height, width) = len(images_BCHW), images_BCHW.shape[2:]
    angle = _uniform(count, ranges.rotation_degrees, generator)
    size = _uniform(count, ranges.scale, generator, centre=1.0)
    shifts = torch.stack([_uniform(count, ranges.shift, generator) * side for side in (width, height)], dim=1)
    centre, unsheared = torch.tensor([[width / 2 - 0.5, height / 2 - 0.5]]).expand(count, 2), torch.zeros(count)
    matrices = get_affine_matrix2d(shifts, centre, size[:, None].repeat(1, 2), angle, unsheared, unsheared)[:, :2]
    matrices = matrices.to(images_BCHW, non_blocking=True)
    return warp_affine(images_BCHW, matrices, (height, width), align_corners=False, padding_mode="border")


def random_flip(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Return images, each flipped left-right with probability 0.5."""
    rows = (torch.rand(len(images_BCHW), generator=generator) < 0.5).nonzero()[:, 0]
    rows = rows.to(images_BCHW.device, non_blocking=True)
    flipped = images_BCHW.clone()
    flipped[rows] = images_BCHW[rows].flip(3)
    return flipped


def padded_crop(images_BCHW: Tensor, generator: torch.Generator, *, fraction: float) -> Tensor:
    """Return random crops of the old size, at integer positions, of images with a black border of `fraction` of a side."""
    count, _, height, width = images_BCHW.shape
    top, left = round(fraction * height), round(fraction * width)
    rows, columns = (torch.randint(2 * border + 1, (count,), generator=generator) for border in (top, left))
    rows, columns = (places.to(images_BCHW.device, non_blocking=True) for places in (rows, columns))
    padded_BHWC = pad(images_BCHW, (left, left, top, top)).permute(0, 2, 3, 1).contiguous()
    crops = padded_BHWC.unfold(1, height, 1).unfold(2, width, 1)  # a view of all possible crops
    return crops[torch.arange(count, device=images_BCHW.device), rows, columns]


def colour_jitter(images_BCHW: Tensor, generator: torch.Generator, *, largest: float) -> Tensor:
    """Return images with random brightness and contrast factors, both in 1 - largest to 1 + largest."""
    brightness, contrast = (_uniform(len(images_BCHW), largest, generator, centre=1.0) for _ in range(2))
    bright = (images_BCHW * _per_image(brightness, images_BCHW)).clamp(max=1)
    grey = bright.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(grey, bright, _per_image(contrast, images_BCHW)).clamp(0, 1)


def mixup(images_BCHW: Tensor, targets_BK: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return each image and target blended with another one of the batch, with a weight ~ Beta(alpha, alpha).

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", with one weight per batch as in the authors' code.
    """
    seed = int(torch.randint(2**62, (), generator=generator))  # torch's Beta uses only the global generator
    weight = float(np.random.default_rng(seed).beta(alpha, alpha))
    partner = torch.randperm(len(images_BCHW), generator=generator).to(images_BCHW.device, non_blocking=True)
    return torch.lerp(images_BCHW[partner], images_BCHW, weight), torch.lerp(targets_BK[partner], targets_BK, weight)


def _uniform(count: int, largest: float, generator: torch.Generator, centre: float = 0.0) -> Tensor:
    """Return float [count], uniform within `largest` of `centre`."""
    low, high = torch.tensor(centre - largest), torch.tensor(centre + largest)
    return low + torch.rand(count, generator=generator) * (high - low)


def _per_image(values_B: Tensor, images_BCHW: Tensor) -> Tensor:
    return values_B.to(images_BCHW.device, non_blocking=True)[:, None, None, None]
