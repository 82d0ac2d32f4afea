"""DP-SGD: sampling of units, and the noisy sum of their clipped gradients.

Abadi et al. 2016, Algorithm 1. The clipped gradient is a mean over several noise samples of the image (Dockhorn et
al. 2023, Algorithm 1). The divisor is the expected number of units of a step, because the true number is private.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tckr.data.seeds import derive_seed
from tckr.models.diffusion.generator import Generator
from tckr.stages.adapt.batches import Batch, gather
from tckr.stages.adapt.config import AdaptConfig
from tckr.stages.adapt.draws import Draws
from tckr.stages.adapt.encode import EncodedSet
from tckr.stages.adapt.gradients import Passes, retried
from tckr.stages.adapt.vector import AdapterVector


class Units:
    """The units to which the rows of an encoded set belong."""

    def __init__(self, unit_of: np.ndarray) -> None:
        """Store the unit of each row, int64 [N], arbitrary numbers."""
        self._order = np.argsort(unit_of, kind="stable")
        _, self._starts, self._sizes = np.unique(unit_of[self._order], return_index=True, return_counts=True)

    def __len__(self) -> int:
        """Return the number of units."""
        return len(self._starts)

    def sample(self, rate: float, rng: np.random.Generator) -> np.ndarray:
        """Return one random row of each sampled unit; each unit is sampled with probability `rate`, independently."""
        taken = np.flatnonzero(rng.random(len(self)) < rate)
        return np.asarray(self._order[self._starts[taken] + rng.integers(self._sizes[taken])])


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
    """

    units: Units
    sampling_rate: float
    noise_multiplier: float
    clip: float
    expected: float
    noise_draws: int


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
    noise = torch.Generator().manual_seed(noise_seed)

    def attempt() -> tuple[list[torch.Tensor], torch.Tensor]:
        generator.forget_gradients_of_units()  # of an attempt that ran out of memory
        return _sum_clipped(generator, batch, adapter, passes, mechanism, min_snr_gamma=config.min_snr_gamma, device=device)

    # Opacus stores no gradients if activations are recomputed, because it counts both forward passes
    sums, loss = retried(attempt, passes, generator, device, may_recompute=False)
    for parameter, total in zip(adapter.parameters, sums, strict=True):
        drawn = torch.randn(total.shape, generator=noise).to(device)
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
        gradients = [_of_units(parameter, units, draws) for parameter in adapter.parameters]
        for total, clipped in zip(sums, clip_each(gradients, mechanism.clip), strict=True):
            total += clipped
    return sums, loss


def _of_units(parameter: torch.nn.Parameter, units: int, draws: int) -> torch.Tensor:
    """Return the gradients [U, ...] of U units, each the mean over its noise samples; free the stored gradients.

    Some layers store a sum over the noise samples of a unit, others a row for each (`tckr.models.diffusion.unit_gradients`).
    """
    found = parameter.grad_sample
    parameter.grad_sample = None
    summed = found if len(found) == units else found.unflatten(0, (units, draws)).sum(1)
    return summed / draws


def clip_each(gradients: Sequence[torch.Tensor], clip: float) -> list[torch.Tensor]:
    """Return the sum over U units of gradients [U, ...] of all parameters, each unit's scaled to a norm of at most `clip`.

    A unit whose gradient is not a number counts as zero, so that no private image can spoil the complete step.
    """
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    scales = torch.where(norms.isfinite(), clip / norms.clamp(min=clip), 0)
    usable = [gradient if bool(norms.isfinite().all()) else gradient.nan_to_num(0, 0, 0) for gradient in gradients]
    return [torch.einsum("u,u...->...", scales, gradient) for gradient in usable]
