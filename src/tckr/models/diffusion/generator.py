"""What adapt and generate need from a text-to-image model; knows no library.

Shapes: B images, 3 x H x W pixels, L tokens of width D, latents C x h x w.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tckr.errors import UserError


class Generator(Protocol):
    """Draw images from text; learn from images through a LoRA adapter."""

    size_multiple: int  # both image sides must be multiples of this, px
    num_timesteps: int  # noise levels of the training process: timesteps are 0 .. num_timesteps - 1
    num_tokens: int  # L, with those for start and end of a prompt

    def encode_prompts(self, prompts: Sequence[str]) -> torch.Tensor:
        """Return text embeddings [B, L, D]; longer prompts are cut at L tokens, without a word."""
        ...

    def count_cut(self, prompts: Sequence[str]) -> int:
        """Return how many of `prompts` are longer than L tokens."""
        ...

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Return means, then standard deviations [B, 2C, h, w] of the latents of images [B, 3, H, W] in [0, 1]."""
        ...

    def training_loss(
        self, latents: torch.Tensor, prompt_embeds: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """Return the denoising error [B], the mean over C x h x w, at int64 `timesteps` [B]."""
        ...

    def sample(
        self,
        prompt_embeds: torch.Tensor,
        negative_embeds: torch.Tensor,
        *,
        seeds: Sequence[int],
        steps: int,
        guidance_scale: float,
        size: int,
    ) -> np.ndarray:
        """Return uint8 [B, size, size, 3]; image i depends on its own prompt and seed only.

        `negative_embeds` [1, L, D] is the empty prompt; it is not evaluated when `guidance_scale` is at most 1.
        """
        ...

    def add_lora(self, rank: int, seed: int) -> dict[str, torch.nn.Parameter]:
        """Insert a trainable adapter (initially without effect) and return its float32 parameters by name."""
        ...

    def save_lora(self, folder: Path) -> None:
        """Write `pytorch_lora_weights.safetensors`, which any diffusers pipeline of this family loads."""
        ...

    def load_lora(self, folder: Path) -> None:
        """Merge a saved adapter into the weights: sampling then costs what the base model costs."""
        ...


def check_image_size(generator: Generator, size: int) -> None:
    """Raise a UserError when images of `size` x `size` px do not fit the generator."""
    multiple = generator.size_multiple
    if size % multiple:
        fitting = [side for side in (size // multiple * multiple, size // multiple * multiple + multiple) if side]
        raise UserError(
            f"images are {size} px; this generator needs a multiple of {multiple} px; "
            f"set prepare.image_size={' or '.join(map(str, fitting))}"
        )
