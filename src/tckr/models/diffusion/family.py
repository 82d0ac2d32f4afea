"""Interface of one architecture of latent diffusion models: its text encoders and the call of its denoiser.

Shapes: B images, latents C x h x w, L tokens, D text features.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, Protocol

import torch

from tckr.models.diffusion.generator import Conditioning


class Family(Protocol):
    """One loaded pipeline of one architecture."""

    lora_targets: ClassVar[tuple[str, ...]]  # suffixes of the names of the layers that get LoRA
    lora_part: ClassVar[Literal["unet", "transformer"]]  # the pipeline's name for its denoiser
    cuda_dtype: ClassVar[torch.dtype]  # type of the weights on a GPU
    vae_overflows: ClassVar[bool]  # the autoencoder overflows in float16 if its configuration sets `force_upcast`
    pipeline: Any
    num_tokens: int
    size_multiple: int
    largest_size: int | None  # px; None if positions are unlimited
    distilled_guidance: ClassVar[bool]  # the scale is an input of the denoiser (conditioning "guidance" [B]), evaluated once

    def __init__(self, pipeline: Any) -> None:
        """Use a pipeline of this architecture."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return the conditioning of B prompts, each padded or cut to a fixed length, so independent of its batch."""
        ...

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Return the length of each prompt in tokens, with special tokens, for the encoder with the longest input."""
        ...

    def predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Return the denoiser's output [B, C, h, w] for noisy latents at `times` [B], in the unit of the scheduler."""
        ...

    def schedule_arguments(self, scheduler: Any, steps: int, latents: torch.Tensor) -> dict[str, Any]:
        """Return the arguments of `scheduler.set_timesteps` besides the number of steps."""
        ...

    def drawing(self) -> AbstractContextManager[None]:
        """Return a context with constant text, so that `predict` computes once what depends only on the text."""
        ...


def token_lengths(tokenizer: Any, prompts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each prompt, with special tokens, without cutting."""
    return [len(ids) for ids in tokenizer(list(prompts), truncation=False)["input_ids"]]


def dynamic_shift(scheduler: Any, num_patches: int) -> dict[str, float]:
    """Return `mu`, the shift of the noise levels for a number of patches, if the scheduler uses it; else nothing.

    Linear interpolation between (base length, base shift) and (longest length, longest shift) (Esser et al. 2024, section
    5.3.2, as in the pipelines of diffusers).
    """
    config = scheduler.config
    if not config.get("use_dynamic_shifting", False):
        return {}
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    base, largest = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (largest - base) / (high - low)
    return {"mu": num_patches * slope + base - slope * low}
