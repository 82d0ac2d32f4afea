"""Batches of an optimizer step: random choices and the encodings they select, gathered ahead of the training device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tckr.models.diffusion.generator import Conditioning, Generator
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.draws import Draws, draw_step
from tckr.stages.adapt.encode import EncodedSet

EVERYTHING = slice(None)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B images of one step, on the host.

    Attributes:
        moments: float16 [B, 2C, h, w], C means then C standard deviations.
        posterior_noise: float32 [B, C, h, w], selects a latent from that distribution.
        conditioning: float16 [B, ...] by name.
        noise: float32 [B, C, h, w], noise added to the latents.
        timesteps: int64 [B].
    """

    moments: torch.Tensor
    posterior_noise: torch.Tensor
    conditioning: Conditioning
    noise: torch.Tensor
    timesteps: torch.Tensor

    def __len__(self) -> int:
        """Return B."""
        return len(self.timesteps)

    def tensors(self, start: int, stop: int, device: str) -> tuple[torch.Tensor, Conditioning, torch.Tensor, torch.Tensor]:
        """Return latents, conditioning, noise and timesteps of the images from `start` to `stop`, copied to `device`."""

        def move(rows: torch.Tensor) -> torch.Tensor:
            return rows[start:stop].to(device, non_blocking=True)

        mean, deviation = move(self.moments).float().chunk(2, dim=1)
        conditioning = {name: move(rows).float() for name, rows in self.conditioning.items()}
        return mean + deviation * move(self.posterior_noise), conditioning, move(self.noise), move(self.timesteps)


def step_batches(
    generator: Generator,
    encoded: EncodedSet,
    config: AdaptConfig,
    *,
    steps: range,
    seed: int,
    device: str,
    share: slice = EVERYTHING,
    least_timestep: int = 0,
) -> Iterator[Batch]:
    """Yield a `share` of the batch of each of `steps`; on CUDA in pinned memory, copied while the device computes."""
    for step in steps:
        draws = draw_step(
            seed,
            step,
            num_images=len(encoded.prompt_of),
            num_drawn=config.batch_size,
            latent_shape=encoded.latent_shape,
            num_timesteps=generator.num_timesteps,
            flip=len(encoded.moments) == 2,
            caption_dropout=config.caption_dropout,
            least_timestep=least_timestep,
        )
        yield gather(generator, encoded, draws.take(share), pinned=device.startswith("cuda"))


def gather(generator: Generator, encoded: EncodedSet, draws: Draws, *, pinned: bool = False) -> Batch:
    """Read the encodings that the random choices `draws` select."""
    last = next(iter(encoded.conditioning.values())).shape[0] - 1
    prompts = np.where(draws.unprompted, last, encoded.prompt_of[draws.rows])

    def held(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.pin_memory() if pinned else tensor

    return Batch(
        moments=held(torch.from_numpy(encoded.moments[draws.mirrored.astype(int), draws.rows])),
        posterior_noise=held(draws.posterior_noise),
        conditioning={name: held(torch.from_numpy(rows[prompts])) for name, rows in encoded.conditioning.items()},
        noise=held(draws.noise),
        timesteps=held(generator.draw_timesteps(draws.timesteps)),
    )
