"""Text-to-image pipelines of diffusers as `Generator`: one class for all architectures and processes.

Shapes: B images, 3 x H x W pixels, latents C x h x w.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tckr.models.diffusion.autoencoder import Autoencoder
from tckr.models.diffusion.family import Family
from tckr.models.diffusion.forward_process import process_of
from tckr.models.diffusion.generator import Conditioning, Sampling
from tckr.models.diffusion.lora import add_lora, layers_of, merge_lora, rewrite_lora, save_lora
from tckr.models.diffusion.outline import WHOLE, Targets, no_interval
from tckr.models.diffusion.sampling import build_solver, initial_noise, sample, space_quadratically
from tckr.models.diffusion.schedule import Solver
from tckr.models.diffusion.weights import WEIGHTS_NAME, load_weights, save_weights, unfreeze
from tckr.models.precision import forward_precision
from tckr.models.quiet import quiet_libraries
from tckr.models.unit_gradients import forget_gradients_of_units, keep_gradients_of_units

TRAINING_GUIDANCE = 1.0  # input of a model with distilled guidance in training: no guidance (diffusers' Flux LoRA guide)


class LatentDiffusion:
    """One pipeline; the prediction type of its denoiser is read from the configuration of its scheduler."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.pipeline: Any = family.pipeline
        self.pipeline.set_progress_bar_config(disable=True)
        for part in self.pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.requires_grad_(False).eval()
        self.denoiser: Any = getattr(self.pipeline, family.lora_part)
        self.dtype: torch.dtype = self.denoiser.dtype
        if self.pipeline.device.type == "cuda":  # layout of tensor cores; on the CPU it is slower
            for part in (self.denoiser, self.pipeline.vae):
                part.to(memory_format=torch.channels_last)
        self.process = process_of(self.pipeline.scheduler)
        self.autoencoder = Autoencoder(self.pipeline.vae, overflows=family.vae_overflows)
        self.size_multiple = family.size_multiple
        self.largest_size = family.largest_size
        self.num_tokens = family.num_tokens
        self.num_timesteps = self.process.num_timesteps
        self._solvers: dict[Solver, Any] = {}
        self._compiled = False

    @property
    def num_bytes(self) -> int:
        """Return the bytes of the weights of all parts."""
        parts = (part for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module))
        return sum(weight.numel() * weight.element_size() for part in parts for weight in part.parameters())

    @torch.inference_mode()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return the denoiser's input for B prompts, on its device."""
        with quiet_libraries():  # diffusers prints the text that it cuts off, which is private
            return self.family.encode_prompts(prompts)

    def count_cut(self, prompts: Sequence[str]) -> int:
        """Return how many of `prompts` have more tokens, with special ones, than `encode_prompts` keeps."""
        with quiet_libraries():
            return sum(length > self.num_tokens for length in self.family.count_tokens(prompts))

    @torch.inference_mode()
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Return means, then standard deviations [B, 2C, h, w] in the denoiser's scale."""
        return self.autoencoder.encode(images)

    def draw_timesteps(self, uniform: torch.Tensor) -> torch.Tensor:
        """Return the timesteps to train at, given uniform ones."""
        return self.process.draw(uniform)

    def training_loss(
        self,
        latents: torch.Tensor,
        conditioning: Conditioning,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        min_snr_gamma: float | None = None,
    ) -> torch.Tensor:
        """Return the mean squared error [B] between the denoiser's output and its target, weighted on request."""
        noisy = self.process.noisy(latents, noise, timesteps)
        prompted = self._with_guidance(conditioning, TRAINING_GUIDANCE)
        output = self._predict(noisy, self.process.times(timesteps), prompted)
        target = self.process.target(latents, noise, timesteps)
        losses = (output - target.float()).square().mean(dim=(1, 2, 3))
        return losses if min_snr_gamma is None else losses * self.process.weights(timesteps, min_snr_gamma)

    @torch.inference_mode()
    def denoise(
        self, conditioning: Conditioning, negative: Conditioning, *, seeds: Sequence[int], sampling: Sampling
    ) -> torch.Tensor:
        """Return float32 latents [B, C, h, w]; the noise is the same on every device and in every batch."""
        guided = sampling.guidance_scale > 1 and not self.family.distilled_guidance
        if self.family.distilled_guidance and sampling.guidance_interval != WHOLE:
            raise no_interval()
        device = self.pipeline.device  # diffusers looks through all modules for it: once, not at every step
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = initial_noise(self._latent_shape(sampling.size), generators, device)
        scheduler = self._solver(sampling.solver)
        arguments = self.family.schedule_arguments(scheduler, sampling.steps, noise)
        steps = {} if "sigmas" in arguments else {"num_inference_steps": sampling.steps}
        scheduler.set_timesteps(device="cpu", **steps, **arguments)
        if sampling.spacing == "quadratic":
            space_quadratically(scheduler)

        def predict(latents: torch.Tensor, times: torch.Tensor, prompted: Conditioning) -> torch.Tensor:
            with forward_precision(bfloat16=sampling.bfloat16, device=device.type):
                return self._predict(latents, times, prompted)

        with nullcontext() if self._compiled else self.family.drawing():
            return sample(
                predict,
                scheduler,
                self._with_guidance(conditioning, sampling.guidance_scale),
                {name: negative[name].expand_as(rows) for name, rows in conditioning.items()} if guided else None,
                noise=noise,
                generators=generators,
                sampling=sampling,
            )

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Return uint8 [B, H, W, 3] from the autoencoder."""
        return self.autoencoder.decode(latents)

    def blocks(self) -> list[torch.nn.Module]:
        """Return the modules that diffusers would not divide between devices, inner ones first."""
        kinds = set(self.denoiser._no_split_modules or ())
        return [module for module in self.denoiser.modules() if type(module).__name__ in kinds][::-1]

    def add_lora(self, rank: int, seed: int, targets: Targets = "attention") -> dict[str, torch.nn.Parameter]:
        """Insert LoRA (Hu et al. 2022) of scale 1 into `targets`; B starts at zero."""
        return add_lora(self.denoiser, layers_of(self.denoiser, targets, self.family.lora_targets), rank, seed)

    def unfreeze(self) -> dict[str, torch.nn.Parameter]:
        """Make all weights of the denoiser trainable."""
        return unfreeze(self.denoiser)

    def keep_gradients_of_units(self, draws: int) -> None:
        """Attach Opacus to the layers of the denoiser, which then must be in training mode."""
        keep_gradients_of_units(self.denoiser.train(), draws)

    def forget_gradients_of_units(self) -> None:
        """Remove what Opacus stored in a pass that ended early."""
        forget_gradients_of_units(self.denoiser)

    def save_weights(self, folder: Path) -> None:
        """Write all weights of the denoiser."""
        save_weights(self.denoiser, folder)

    def load_adapter(self, folder: Path) -> None:
        """Load the result of a training: the denoiser's weights, or a LoRA to merge."""
        if (folder / WEIGHTS_NAME).exists():
            load_weights(self.denoiser, folder)
        else:
            self.load_lora(folder)

    def save_lora(self, folder: Path) -> None:
        """Write `pytorch_lora_weights.safetensors`, readable by the pipeline's own `load_lora_weights`."""
        save_lora(self.pipeline, self.family.lora_part, folder)

    def load_lora(self, path: Path) -> None:
        """Merge the adapter at `path` into the weights."""
        merge_lora(self.pipeline, self.family.lora_part, path)

    def rewrite_lora(self, path: Path, scale: float, folder: Path) -> None:
        """Write the adapter at `path` into `folder` in the layout of `save_lora`, multiplied by `scale`."""
        rewrite_lora(self.pipeline, self.family.lora_part, path, scale, folder)

    def compile_denoiser(self, *, cuda_graphs: bool = True) -> None:
        """Compile the denoiser in place, for static shapes."""
        graphs = cuda_graphs and self.pipeline.device.type == "cuda"
        self.denoiser.compile(mode="reduce-overhead" if graphs else "default", dynamic=False)
        self._compiled = True

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the denoiser's activations in the backward pass."""
        self.denoiser.enable_gradient_checkpointing()

    def _predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        prompted = {name: rows.to(self.dtype) for name, rows in conditioning.items()}
        prediction = self.family.predict(latents.to(self.dtype), times, prompted)
        return prediction.to(torch.float32, copy=True)  # with CUDA graphs, the next call overwrites this output

    def _with_guidance(self, conditioning: Conditioning, scale: float) -> Conditioning:
        if not self.family.distilled_guidance:
            return conditioning
        rows = next(iter(conditioning.values()))
        return conditioning | {"guidance": torch.full((len(rows),), scale, device=rows.device)}

    def _latent_shape(self, size: int) -> tuple[int, int, int]:
        side = size // self.pipeline.vae_scale_factor
        return self.pipeline.vae.config.latent_channels, side, side

    def _solver(self, name: Solver) -> Any:
        if name not in self._solvers:
            self._solvers[name] = build_solver(name, self.pipeline.scheduler)
        return self._solvers[name]
