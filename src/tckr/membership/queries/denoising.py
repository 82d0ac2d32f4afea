"""The denoising loss of records under a generator, which is low for memorized records (Carlini et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from tckr.data.seeds import derive_seed
from tckr.models.diffusion.generator import Generator


@torch.inference_mode()
def denoising_losses(
    generator: Generator,
    images: np.ndarray,
    prompts: Sequence[str],
    *,
    num_draws: int,
    batch_size: int,
    numbers: np.ndarray | None = None,
    advance: Callable[[int], None] = lambda amount: None,
) -> np.ndarray:
    """Return float64 [N], the mean over `num_draws` noise levels of the squared denoising error of each record.

    Noise levels are the middles of equal intervals of the noise schedule. The noise of a record depends only on its number
    and the level, so that two generators get the same noise and their losses can be compared.

    Args:
        generator: not changed.
        images: uint8 [N, H, W, 3].
        prompts: N texts.
        num_draws: number of noise levels, each with its own noise.
        batch_size: records per forward pass.
        numbers: int64 [N], the numbers of the records; None = their positions.
        advance: called with the number of finished (record, level) pairs.
    """
    total = np.zeros(len(prompts))
    numbers = np.arange(len(prompts)) if numbers is None else numbers
    levels = [int((draw + 0.5) / num_draws * generator.num_timesteps) for draw in range(num_draws)]
    for start in range(0, len(prompts), batch_size):
        rows = range(start, min(start + batch_size, len(prompts)))
        pixels = torch.from_numpy(np.array(images[rows.start : rows.stop])).permute(0, 3, 1, 2).float() / 255
        latents = generator.encode_images(pixels).chunk(2, dim=1)[0]  # the means, without noise of the autoencoder
        conditioning = generator.encode_prompts(prompts[rows.start : rows.stop])
        for draw, level in enumerate(levels):
            noise = torch.stack(
                [_noise(int(number), draw, latents.shape[1:]) for number in numbers[rows.start : rows.stop]]
            ).to(latents)
            timesteps = torch.full((len(rows),), level, device=latents.device)
            losses = generator.training_loss(latents, conditioning, noise, timesteps)
            total[rows.start : rows.stop] += losses.double().cpu().numpy()
            advance(len(rows))
    return total / num_draws


def _noise(number: int, draw: int, shape: torch.Size) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed("audit", "noise", number, draw)))
