"""Random choices of a training step as a function of (seed, step), so that a resumed training repeats them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from tckr.data.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Random choices for the B images of one optimizer step.

    Attributes:
        rows: int64 [B], positions in the encoded set; every image is used once per epoch.
        mirrored: bool [B].
        unprompted: bool [B], trained on the empty prompt.
        posterior_noise: float32 [B, C, h, w], selects a latent from the autoencoder's distribution.
        noise: float32 [B, C, h, w], noise added to the latents.
        timesteps: int64 [B], uniform from the least one on.
    """

    rows: np.ndarray
    mirrored: np.ndarray
    unprompted: np.ndarray
    posterior_noise: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor

    def take(self, share: slice) -> Draws:
        """Return the choices for a part of the images."""
        return Draws(**{name: values[share] for name, values in vars(self).items()})


def draw_step(
    seed: int,
    step: int,
    *,
    num_images: int,
    num_drawn: int,
    latent_shape: tuple[int, ...],
    num_timesteps: int,
    flip: bool,
    caption_dropout: float,
    least_timestep: int = 0,
) -> Draws:
    """Return the random choices of `step` (from 0) for `num_drawn` of `num_images` images."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "adapt", "step", step))
    shape = (num_drawn, *latent_shape)
    return Draws(
        rows=rows_of_step(seed, step, num_images, num_drawn),
        mirrored=(torch.rand(num_drawn, generator=generator) < 0.5 * flip).numpy(),
        unprompted=(torch.rand(num_drawn, generator=generator) < caption_dropout).numpy(),
        posterior_noise=torch.randn(shape, generator=generator),
        noise=torch.randn(shape, generator=generator),
        timesteps=torch.randint(least_timestep, num_timesteps, (num_drawn,), generator=generator),
    )


def rows_of_step(seed: int, step: int, num_images: int, num_drawn: int) -> np.ndarray:
    """Return int64 [num_drawn], the next positions of an endless sequence of shuffled epochs; batches cross their ends."""
    places = step * num_drawn + np.arange(num_drawn, dtype=np.int64)
    rows = np.empty(num_drawn, dtype=np.int64)
    for epoch in np.unique(places // num_images):
        order = _epoch_order(seed, int(epoch), num_images)
        inside = places // num_images == epoch
        rows[inside] = order[places[inside] % num_images]
    return rows


@lru_cache(maxsize=2)  # the steps of an epoch, and those across its end
def _epoch_order(seed: int, epoch: int, num_images: int) -> np.ndarray:
    return np.random.default_rng(derive_seed(seed, "adapt", "epoch", epoch)).permutation(num_images)
