"""Convert images to latents and back, scaled as for the denoiser. Supports AutoencoderKL and AutoencoderDC.

Latent scale (diffusers): (z - shift) * scale, with one shift and scale, or one per channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tckr.errors import UserError


class Autoencoder:
    """The autoencoder of a pipeline; in float32 instead of float16 if it `overflows` and its config sets `force_upcast`."""

    def __init__(self, vae: Any, *, overflows: bool = False) -> None:
        self.vae = vae.to(torch.float32) if overflows and vae.config.force_upcast and vae.dtype == torch.float16 else vae

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return means, then standard deviations [B, 2C, h, w] (0 if deterministic) of images [B, 3, H, W] in [0, 1]."""
        encoded = self.vae.encode(images.to(self.vae.device, self.vae.dtype) * 2 - 1)
        shift, scale = self._shift_and_scale()
        if not hasattr(encoded, "latent_dist"):
            means = (encoded.latent - shift) * scale
            return torch.cat([means, torch.zeros_like(means)], dim=1)
        posterior = encoded.latent_dist
        return torch.cat([(posterior.mean - shift) * scale, posterior.std * scale], dim=1)

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Return uint8 [B, H, W, 3].

        Raises:
            UserError: pixels are not finite and would become black.
        """
        shift, scale = self._shift_and_scale()
        images = self.vae.decode((latents / scale + shift).to(self.vae.dtype), return_dict=False)[0]
        if not images.isfinite().all():
            raise UserError(
                "the generated pixels are not finite numbers: the adapter's training diverged, or the weights exceed the "
                "range of their type; lower adapt.learning_rate, or set generate.precision=float32"
            )
        pixels = ((images * 0.5 + 0.5).clamp(0, 1).float() * 255).round().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _shift_and_scale(self) -> tuple[Any, Any]:
        config = self.vae.config
        means, deviations = config.get("latents_mean"), config.get("latents_std")
        if means is None or deviations is None:
            return config.get("shift_factor") or 0.0, config.scaling_factor
        shift, deviation = (torch.tensor(row, device=self.vae.device).reshape(1, -1, 1, 1) for row in (means, deviations))
        return shift, config.scaling_factor / deviation
