"""The forward process: how noise is added in training, the denoiser's target, and the weight of each noise level.

Timesteps are int64 in 0 .. T - 1; 0 is the least noise, in every process.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler

from tckr.errors import UserError
from tckr.models.diffusion import outline

PREDICTIONS = ("epsilon", "v_prediction", "sample")


class ForwardProcess(Protocol):
    """A forward process with T noise levels."""

    num_timesteps: int  # T

    def noisy(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return the noisy latents [B, C, h, w]."""
        ...

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return the target of the denoiser for `noisy`, [B, C, h, w]."""
        ...

    def times(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Return the denoiser's time input for these timesteps, [B], in the unit of its sampling schedulers."""
        ...

    def draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Return timesteps [B] with the density used in training, from uniform int64 in 0 .. T - 1."""
        ...

    def weights(self, timesteps: torch.Tensor, min_snr_gamma: float) -> torch.Tensor:
        """Return the min-SNR weights [B] of the squared error."""
        ...


def process_of(scheduler: Any) -> ForwardProcess:
    """Return the process with which a checkpoint with this scheduler was trained.

    Raises:
        UserError: its denoiser has an unknown prediction type.
    """
    if is_flow(scheduler):
        return FlowMatching(scheduler.config.num_train_timesteps, flow_shift(scheduler))
    return Diffusion(scheduler)


def is_flow(scheduler: Any) -> bool:
    """Return whether the scheduler uses straight lines from noise to image (Lipman et al. 2023, Liu et al. 2023)."""
    return outline.is_flow(type(scheduler).__name__, scheduler.config)


def flow_shift(scheduler: Any) -> float:
    """Return the shift s of the noise levels, sigma = s u / (1 + (s - 1) u); 1 if it depends on the image size."""
    config = scheduler.config
    if config.get("use_dynamic_shifting", False):
        return 1.0  # diffusers' scripts train on the unshifted levels
    shift = config.get("flow_shift", 1.0) if config.get("use_flow_sigmas", False) else config.get("shift", 1.0)
    return float(shift)


class Diffusion:
    """The variance-preserving process of Ho et al. 2020, x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise."""

    def __init__(self, scheduler: Any) -> None:
        # Sampling schedulers cannot add noise at arbitrary timesteps; the training process has the same noise levels.
        self.scheduler = DDPMScheduler.from_config(scheduler.config)
        self.num_timesteps: int = self.scheduler.config.num_train_timesteps
        self.prediction: str = self.scheduler.config.prediction_type
        if self.prediction not in PREDICTIONS:
            raise UserError(
                f"the generator's scheduler has prediction_type {self.prediction!r}; expected one of "
                f"{', '.join(PREDICTIONS)}; correct scheduler/scheduler_config.json of the checkpoint"
            )

    def noisy(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return x_t."""
        return self.scheduler.add_noise(latents, noise, timesteps)

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return the noise (Ho et al. 2020, eq. 14), the velocity (Salimans and Ho 2022, appendix D) or the latents."""
        if self.prediction == "v_prediction":
            return self.scheduler.get_velocity(latents, noise, timesteps)
        return noise if self.prediction == "epsilon" else latents

    def times(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Return the timesteps themselves."""
        return timesteps

    def draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Return `uniform`: all noise levels are equally likely."""
        return uniform

    def weights(self, timesteps: torch.Tensor, min_snr_gamma: float) -> torch.Tensor:
        """Return the weights of Hang et al. 2023, eq. 8 and section 3.4, with SNR = a_t / (1 - a_t).

        min(SNR, gamma) for latents, divided by SNR for noise and by SNR + 1 for the velocity, so that the error of the
        latents has the same weight in each case. At SNR = 0 the weight of the noise is its limit, 1.
        """
        signal = self.scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
        ratio = signal / (1 - signal)
        if self.prediction == "epsilon":
            return (min_snr_gamma / ratio).clamp(max=1.0)
        return ratio.clamp(max=min_snr_gamma) / (ratio + 1 if self.prediction == "v_prediction" else 1)


class FlowMatching:
    """Straight lines x = (1 - sigma) x_0 + sigma noise with velocity noise - x_0 (Esser et al. 2024)."""

    def __init__(self, num_timesteps: int, shift: float) -> None:
        self.num_timesteps = num_timesteps
        even = torch.arange(1, num_timesteps + 1, dtype=torch.float32) / num_timesteps
        self.sigmas = shift * even / (1 + (shift - 1) * even)

    def noisy(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return the point at sigma on the line from latents to noise."""
        sigma = self._sigma(timesteps).to(latents.dtype).reshape(-1, 1, 1, 1)
        return (1 - sigma) * latents + sigma * noise

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Return the velocity, the same at every sigma."""
        return noise - latents

    def times(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Return T sigma, float32."""
        return self._sigma(timesteps) * self.num_timesteps

    def draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Return timesteps with logit-normal density (Esser et al. 2024, section 3.1; mean 0, deviation 1).

        The middle of each of T equal intervals is mapped by the inverse distribution function: there are as many distinct
        values as before, but middle levels are more frequent.
        """
        middles = (uniform.double() + 0.5) / self.num_timesteps
        return (torch.special.ndtri(middles).sigmoid() * self.num_timesteps).long()

    def weights(self, timesteps: torch.Tensor, min_snr_gamma: float) -> torch.Tensor:
        """Raise a UserError: these weights are defined for diffusion; flow matching weights by the density of the levels."""
        raise outline.no_min_snr(min_snr_gamma)

    def _sigma(self, timesteps: torch.Tensor) -> torch.Tensor:
        return self.sigmas.to(timesteps.device)[timesteps]
