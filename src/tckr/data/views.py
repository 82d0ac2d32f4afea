"""Augmented views of an image, determined by (seed, index, view): the same three values give the same view.

A soft label can therefore be stored for a view without storing the view itself (Shen & Xing 2022, "A Fast Knowledge
Distillation Framework for Visual Recognition"; Beyer et al. 2022, "Knowledge distillation: A good teacher is patient and
consistent"). No generator with a state is used, so a view does not depend on its batch.
Shape suffixes: B batch, C 3 colours, H height, W width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from tckr.data.variation import Variation, ViewRecipe


def make_views(images_BCHW: Tensor, ids_B: np.ndarray, views_B: np.ndarray, recipe: ViewRecipe) -> Tensor:
    """Return view `views_B[i]` of float image i in [0, 1] with identity `ids_B[i]`.

    Shift, rotation, scale and flip are one bilinear resampling with border pixels repeated, so an image is blurred once.
    """
    changed = np.flatnonzero(views_B)
    if not len(changed):
        return images_BCHW
    draws = uniform(recipe.seed, ids_B[changed], views_B[changed], 7)
    made = images_BCHW.clone()
    rows = torch.from_numpy(changed).to(made.device)
    ranges = recipe.ranges
    made[rows] = _jitter(_resample(images_BCHW[rows], draws[:, :5], ranges), draws[:, 5:], ranges.jitter)
    return made


def uniform(seed: int, ids_B: np.ndarray, views_B: np.ndarray, count: int) -> np.ndarray:
    """Return float64 [B, count] in [0, 1), a hash of (seed, id, view, position).

    After each part, the state is mixed by the finalizer of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom
    number generators"), for complete arrays at a time.
    """
    state = np.full((1, 1), seed, dtype=np.uint64)
    for part in (ids_B[:, None], views_B[:, None], np.arange(count)[None]):
        state = _mixed(state + np.uint64(0x9E3779B97F4A7C15) * (part.astype(np.uint64) + np.uint64(1)))
    return (state >> np.uint64(11)) * 2.0**-53


def _mixed(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _resample(images_BCHW: Tensor, draws_B5: np.ndarray, ranges: Variation) -> Tensor:
    """Sample each image with a matrix that maps a point of the view to a point of the image, both in [-1, 1]."""
    height, width = images_BCHW.shape[2:]
    angle = np.radians(ranges.rotation_degrees) * (2 * draws_B5[:, 0] - 1)
    size = 1 + ranges.scale * (2 * draws_B5[:, 1] - 1)
    shift_x, shift_y = (2 * ranges.shift * (2 * draws_B5[:, place] - 1) for place in (2, 3))  # a side has length 2
    mirror = np.where(ranges.flip & (draws_B5[:, 4] < 0.5), -1.0, 1.0)
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    rows = [[mirror * cos, -sin * height / width, shift_x], [mirror * sin * width / height, cos, shift_y]]
    matrices_B23 = torch.from_numpy(np.moveaxis(np.array(rows, dtype=np.float32), 2, 0).copy()).to(images_BCHW.device)
    grid = affine_grid(matrices_B23, list(images_BCHW.shape), align_corners=False)
    return grid_sample(images_BCHW, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _jitter(images_BCHW: Tensor, draws_B2: np.ndarray, jitter: float) -> Tensor:
    if not jitter:
        return images_BCHW
    factors = torch.from_numpy((1 + jitter * (2 * draws_B2 - 1)).astype(np.float32)).to(images_BCHW.device)
    brightness, contrast = (factors[:, place].view(-1, 1, 1, 1) for place in (0, 1))
    mean = images_BCHW.mean(dim=(1, 2, 3), keepdim=True)
    return ((mean + contrast * (images_BCHW - mean)) * brightness).clamp(0, 1)
