"""DP-SGD: sampling of units, and the noisy sum of their clipped gradients.

Abadi et al. 2016, Algorithm 1. The clipped gradient is a mean over several noise samples of the image (Dockhorn et
al. 2023, Algorithm 1). The divisor is the expected number of units of a step, because the true number is private.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tckr.data.seeds import derive_seed
from tckr.models.diffusion.generator import Generator
from tckr.models.unit_gradients import sum_clipped
from tckr.privacy.units import Units
from tckr.stages.adapt.batches import Batch, gather
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.draws import Draws
from tckr.stages.adapt.encode import EncodedSet
from tckr.stages.adapt.gradients import Passes, retried
from tckr.stages.adapt.vector import AdapterVector


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """Parameters of the mechanism in a step.

    Attributes:
        units: units of the encoded set.
        sampling_rate: probability that a unit is sampled.
        noise_multiplier: standard deviation of the noise divided by `clip`.
        clip: maximum norm of a unit's gradient.
        expected: expected number of units of a step, from the noisy count.
        noise_draws: noise levels and noise samples per image.
        central_noise: noise on the mean images of the classes; None if there are none (`tckr.stages.adapt.central`).
    """

    units: Units
    sampling_rate: float
    noise_multiplier: float
    clip: float
    expected: float
    noise_draws: int
    central_noise: float | None = None


def private_batches(
    generator: Generator, encoded: EncodedSet, config: AdaptConfig, mechanism: Mechanism, *, steps: range, seed: int
) -> Iterator[Batch]:
    """Yield the batch of each of `steps`: `noise_draws` consecutive rows for each sampled unit; it may be empty."""
    for step in steps:
        rng = np.random.default_rng(derive_seed(seed, "adapt", "units", step))
        rows = np.repeat(mechanism.units.sample(mechanism.sampling_rate, rng), mechanism.noise_draws)
        draws = torch.Generator().manual_seed(derive_seed(seed, "adapt", "step", step))
        shape = (len(rows), *encoded.latent_shape)
        flip = len(encoded.moments) == 2
        chosen = Draws(
            rows=rows,
            mirrored=(torch.rand(len(rows), generator=draws) < 0.5 * flip).numpy(),
            unprompted=(torch.rand(len(rows), generator=draws) < config.caption_dropout).numpy(),
            posterior_noise=torch.randn(shape, generator=draws),
            noise=torch.randn(shape, generator=draws),
            timesteps=torch.randint(generator.num_timesteps, (len(rows),), generator=draws),
        )
        yield gather(generator, encoded, chosen)


def set_private_gradient(
    generator: Generator,
    batch: Batch,
    adapter: AdapterVector,
    passes: Passes,
    mechanism: Mechanism,
    *,
    config: AdaptConfig,
    device: str,
    noise_seed: int,
) -> torch.Tensor:
    """Set the gradient of `adapter` to the noisy mean of clipped gradients; return the mean loss [] of the batch."""
    noise = np.random.default_rng(noise_seed)  # torch's would use 32 bits of the seed

    def attempt() -> tuple[list[torch.Tensor], torch.Tensor]:
        generator.forget_gradients_of_units()  # of an attempt that ran out of memory
        return _sum_clipped(generator, batch, adapter, passes, mechanism, min_snr_gamma=config.min_snr_gamma, device=device)

    # Opacus stores no gradients if activations are recomputed, because it counts both forward passes
    sums, loss = retried(attempt, passes, generator, device, may_recompute=False)
    for parameter, total in zip(adapter.parameters, sums, strict=True):
        drawn = torch.from_numpy(noise.standard_normal(total.shape, dtype=np.float32)).to(device)
        assert parameter.grad is not None
        parameter.grad.copy_((total + mechanism.noise_multiplier * mechanism.clip * drawn) / mechanism.expected)
    return loss / max(1, len(batch))


def _sum_clipped(
    generator: Generator,
    batch: Batch,
    adapter: AdapterVector,
    passes: Passes,
    mechanism: Mechanism,
    *,
    min_snr_gamma: float | None,
    device: str,
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the sum of the clipped gradients for each parameter, and the sum of the losses []."""
    sums = [torch.zeros_like(parameter) for parameter in adapter.parameters]
    loss = torch.zeros((), device=device)
    draws = mechanism.noise_draws
    assert passes.together == draws
    for start in range(0, len(batch), passes.images):
        losses = generator.training_loss(*batch.tensors(start, start + passes.images, device), min_snr_gamma=min_snr_gamma)
        losses.sum().backward()
        loss += losses.detach().sum()
        units = len(losses) // draws
        clipped = sum_clipped(adapter.parameters, units=units, draws=draws, clip=mechanism.clip)
        for total, part in zip(sums, clipped, strict=True):
            total += part
    return sums, loss
