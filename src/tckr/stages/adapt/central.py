"""Noisy mean images of each class, on which the generator is trained before it sees private images.

These "central images" (DP-FETA, Li et al. 2025) show the rough shape of each class for a small part of the budget. They
have no detail, so they are learned at the noisier half of the noise levels only.

Mechanism: image x with values in [-1/2, 1/2] and class k contributes (x / R, 1) / sqrt(2) to the row of k, where R is the
largest norm of an image. A unit contributes the mean of its images, whose norm is at most 1. Gaussian noise is added to the
sums over all units; each row gives a noisy sum and a noisy number of images, and their quotient is the mean.

Shape suffixes: N rows, K classes, S side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn.functional import interpolate

from tckr.data.seeds import derive_seed
from tckr.models.diffusion.generator import Generator
from tckr.privacy.mean_images import BATCH, SIDE, STEPS, fewest_units, largest_norm
from tckr.privacy.units import Units
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.encode import encode_set
from tckr.stages.adapt.gradients import Passes
from tckr.stages.adapt.train import Course, train_adapter

TOO_FEW = (
    "are too small: their mean images would be mostly noise, so the generator does not learn them before the private images"
)

CHUNK = 2**24
"""Values that are read at a time: 64 MB in float32."""


def central_images(
    images: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    units: Units,
    *,
    num_classes: int,
    noise_multiplier: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy mean images, uint8 [M, H, W, 3], and their classes, int64 [M]; classes with too much noise are left out.

    Args:
        images: uint8 [., H, W, 3]; may be a memory map.
        rows: int64 [N], which images.
        labels: int64 [N], their classes.
        units: units of these N rows.
        num_classes: K.
        noise_multiplier: standard deviation of the noise on each sum, of pixels and of the number of images.
        rng: of the noise.
    """
    size = images.shape[1]
    side = min(size, SIDE)
    sums = sums_of_classes(images, rows, labels, units, num_classes=num_classes)
    noisy = 2**0.5 * (sums + noise_multiplier * rng.standard_normal(sums.shape))
    counts_K = np.maximum(noisy[:, -1], 1.0)
    kept = np.flatnonzero(counts_K >= fewest_units(noise_multiplier, size))
    means = noisy[kept, :-1] * largest_norm(side) / counts_K[kept, None] + 0.5
    pixels = torch.from_numpy(means.reshape(len(kept), side, side, 3)).permute(0, 3, 1, 2)
    if side < size and len(kept):
        pixels = interpolate(pixels, size=(size, size), mode="bicubic")
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), kept


def sums_of_classes(
    images: np.ndarray, rows: np.ndarray, labels: np.ndarray, units: Units, *, num_classes: int
) -> np.ndarray:
    """Return float64 [K, S * S * 3 + 1], to which each unit contributes a vector with a norm of at most 1."""
    side = min(images.shape[1], SIDE)
    sums = np.zeros((num_classes, side * side * 3 + 1))
    shares_N = units.shares()
    count = max(1, CHUNK // images[0].size)
    for start in range(0, len(rows), count):
        part = slice(start, start + count)
        pixels = torch.from_numpy(images[rows[part]]).permute(0, 3, 1, 2).float().div_(255).sub_(0.5)
        small = interpolate(pixels, size=(side, side), mode="area").permute(0, 2, 3, 1).flatten(1).double().numpy()
        vectors = np.column_stack([small / largest_norm(side), np.ones(len(small))])
        np.add.at(sums, labels[part], vectors * (shares_N[part, None] / 2**0.5))
    return sums


def learn_central_images(
    generator: Generator,
    images: np.ndarray,
    prompts: Sequence[str],
    config: AdaptConfig,
    course: Course,
    *,
    cache: Path,
    batch_size: int,
) -> torch.Tensor:
    """Return the adapter's weights, in the layout of `AdapterVector`, after a training on `images` without noise.

    Args:
        generator: gets an adapter; not usable for another training.
        images: uint8 [M, H, W, 3], not private.
        prompts: of each image.
        config: settings of the adapter.
        course: of the private training; its checkpoint is not touched.
        cache: folder for encodings and a checkpoint of its own.
        batch_size: images to encode at a time.
    """
    rows = np.arange(len(images))
    encoded = encode_set(generator, images, rows, prompts, flip=config.horizontal_flip, batch_size=batch_size, cache=cache)
    own = config.model_copy(update={"batch_size": BATCH, "ema_decay": 0.0, "max_gradient_norm": 1.0})
    course = replace(
        course,
        num_steps=STEPS,
        seed=derive_seed(course.seed, "adapt", "central", "training"),
        checkpoint=cache / "checkpoint.safetensors",
        compiled=False,  # takes longer than these steps
        least_timestep=generator.num_timesteps // 2,
    )
    train_adapter(generator, encoded, own, course, passes=Passes(largest=BATCH))
    return load_file(course.checkpoint)["weights"]
