"""Interface of a text-to-image model for adaptation and generation.

Shapes: B images, 3 x H x W pixels, latents C x h x w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from tckr.errors import UserError
from tckr.models.diffusion.outline import Targets
from tckr.models.diffusion.schedule import Solver, Spacing

Conditioning = dict[str, torch.Tensor]
"""Input of a denoiser for B prompts: named tensors with B rows each (text embeddings, pooled embeddings, masks)."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of sampling.

    Attributes:
        steps: evaluations of the denoiser per image.
        guidance_scale: classifier-free guidance (Ho and Salimans 2022); at most 1 is off.
        size: side of the square images in px.
        guidance_interval: fractions of the steps, 0 is the first (pure noise) and 1 the end: step i of n is guided if
            start <= i / n < stop (Kynkaanniemi et al. 2024, who give the interval in noise levels). Other steps cost half.
        solver: "default" is the checkpoint's own scheduler.
        spacing: "default" are the checkpoint's timesteps; for "quadratic" see `sampling.space_quadratically`.
        bfloat16: compute the denoiser's matrix products and convolutions in bfloat16, whatever the type of its weights.
    """

    steps: int
    guidance_scale: float
    size: int
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    solver: Solver = "default"
    spacing: Spacing = "default"
    bfloat16: bool = False


class Generator(Protocol):
    """Generate images from text; train on images by a LoRA adapter or in all weights of the denoiser."""

    size_multiple: int  # both image sides must be multiples of this, px
    largest_size: int | None  # longest side, px; None = any
    num_timesteps: int  # noise levels of the training process: timesteps are 0 (least noise) .. num_timesteps - 1
    num_tokens: int  # L, the longest prompt, with the tokens for its start and end
    denoiser: Any  # the module that is trained

    @property
    def num_bytes(self) -> int:
        """Return the bytes of the weights of all parts."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return the denoiser's input for B prompts; longer prompts are silently cut at L tokens."""
        ...

    def count_cut(self, prompts: Sequence[str]) -> int:
        """Return how many of `prompts` are longer than L tokens."""
        ...

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Return means, then standard deviations [B, 2C, h, w] of the latents of images [B, 3, H, W] in [0, 1]."""
        ...

    def draw_timesteps(self, uniform: torch.Tensor) -> torch.Tensor:
        """Return the timesteps [B] for training, given uniform int64 random numbers [B] in 0 .. num_timesteps - 1.

        They are unchanged for diffusion, and have logit-normal density for flow matching.
        """
        ...

    def training_loss(
        self,
        latents: torch.Tensor,
        conditioning: Conditioning,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        min_snr_gamma: float | None = None,
    ) -> torch.Tensor:
        """Return the denoising error [B], the mean over C x h x w, at int64 `timesteps` [B].

        Raises:
            UserError: min-SNR weights (Hang et al. 2023) with a flow-matching model.
        """
        ...

    def denoise(
        self, conditioning: Conditioning, negative: Conditioning, *, seeds: Sequence[int], sampling: Sampling
    ) -> torch.Tensor:
        """Return latents [B, C, h, w] for `decode`; latent i depends only on its own prompt and seed.

        `negative` (one row) is the empty prompt. It is not evaluated if guidance is off, or by models with distilled
        guidance.

        Raises:
            UserError: the solver or a guidance interval does not fit this generator.
        """
        ...

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Return uint8 [B, H, W, 3] of latents from `denoise`."""
        ...

    def blocks(self) -> list[torch.nn.Module]:
        """Return the parts of the denoiser that compute one after another and hold most weights, inner ones first."""
        ...

    def add_lora(self, rank: int, seed: int, targets: Targets = "attention") -> dict[str, torch.nn.Parameter]:
        """Insert a trainable adapter (without effect at first) and return its float32 parameters by name."""
        ...

    def unfreeze(self) -> dict[str, torch.nn.Parameter]:
        """Make all weights of the denoiser trainable, in float32, and return them by name.

        Raises:
            UserError: the denoiser is too large, or there is too little memory.
        """
        ...

    def keep_gradients_of_units(self, draws: int) -> None:
        """Make a backward pass over units of `draws` consecutive samples store gradients in `grad_sample` of each parameter.

        A layer stores the sums over the draws [U, ...], or a row for each draw [U x draws, ...].

        Raises:
            UserError: Opacus is not installed.
        """
        ...

    def forget_gradients_of_units(self) -> None:
        """Remove the gradients of units, and all else that a pass which ran out of memory left for a later pass."""
        ...

    def save_weights(self, folder: Path) -> None:
        """Write all weights of the denoiser, in float16, with diffusers' names of file and tensors."""
        ...

    def load_adapter(self, folder: Path) -> None:
        """Load the files of `save_weights` or `save_lora` in `folder`.

        Raises:
            UserError: as for `load_lora`.
        """
        ...

    def save_lora(self, folder: Path) -> None:
        """Write `pytorch_lora_weights.safetensors`, which any diffusers pipeline of this family loads."""
        ...

    def load_lora(self, path: Path) -> None:
        """Merge an adapter, a folder or a .safetensors file, into the weights, so that sampling is as fast as without it.

        A second adapter is added to the first.

        Raises:
            UserError: the file is missing, unreadable, empty, or made for other layers than this generator has.
        """
        ...

    def rewrite_lora(self, path: Path, scale: float, folder: Path) -> None:
        """Write the adapter at `path`, in any layout, multiplied by `scale`, in the layout of `save_lora`.

        Raises:
            UserError: as for `load_lora`.
        """
        ...

    def compile_denoiser(self, *, cuda_graphs: bool = True) -> None:
        """Compile the denoiser for static shapes; each new batch size or image size compiles again (about a minute).

        Call it after adapters are added or merged. `cuda_graphs` is for sampling; turn it off for training.
        """
        ...

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass: needs less memory, about a third more time per training step."""
        ...


def check_image_size(generator: Generator, size: int) -> None:
    """Raise a UserError if images of `size` x `size` px do not fit the generator."""
    if generator.largest_size is not None and size > generator.largest_size:
        raise UserError(
            f"images are {size} px; this generator supports at most {generator.largest_size} px; set "
            f"prepare.image_size={generator.largest_size} or less"
        )
    multiple = generator.size_multiple
    if size % multiple:
        fitting = [side for side in (size // multiple * multiple, size // multiple * multiple + multiple) if side]
        raise UserError(
            f"images are {size} px; this generator needs a multiple of {multiple} px; "
            f"set prepare.image_size={' or '.join(map(str, fitting))}"
        )


def take_rows(conditioning: Conditioning, rows: Sequence[int]) -> Conditioning:
    """Return the rows `rows` of the conditioning, in order; a row may be taken several times."""
    return {name: tensor[list(rows)] for name, tensor in conditioning.items()}
