"""What one architecture adds to a latent diffusion model: its text encoders and the call of its denoiser. Knows no noise.

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

    lora_targets: ClassVar[tuple[str, ...]]  # endings of the names of the layers that get LoRA
    lora_part: ClassVar[Literal["unet", "transformer"]]  # the pipeline's name for its denoiser
    cuda_dtype: ClassVar[torch.dtype]  # what the weights are loaded in on a GPU
    vae_overflows: ClassVar[bool]  # the autoencoder overflows in float16 where its configuration says `force_upcast`
    pipeline: Any
    num_tokens: int
    size_multiple: int
    largest_size: int | None  # px; None where positions have no end
    distilled_guidance: ClassVar[bool]  # the denoiser is told the scale (conditioning "guidance" [B]) and evaluated once

    def __init__(self, pipeline: Any) -> None:
        """Take over a pipeline of this architecture."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return the conditioning of B prompts, each padded or cut to a fixed length: no prompt depends on its batch."""
        ...

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Return the length of each prompt with its special tokens, as the encoder of the longest prompts counts."""
        ...

    def predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Return the denoiser's output [B, C, h, w] for noisy latents at `times` [B], in the unit of the scheduler."""
        ...

    def schedule_arguments(self, scheduler: Any, steps: int, latents: torch.Tensor) -> dict[str, Any]:
        """Return what `scheduler.set_timesteps` must know besides the number of steps."""
        ...

    def drawing(self) -> AbstractContextManager[None]:
        """Within, `predict` may take it that text comes again at every step, and do once what depends on the text alone."""
        ...


def token_lengths(tokenizer: Any, prompts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each prompt, with special tokens, uncut."""
    return [len(ids) for ids in tokenizer(list(prompts), truncation=False)["input_ids"]]


def dynamic_shift(scheduler: Any, num_patches: int) -> dict[str, float]:
    """Return `mu`, the shift of the noise levels for a number of patches, when the scheduler asks for it.

    A straight line through (base length, base shift) and (longest length, longest shift) (Esser et al. 2024, section 5.3.2,
    as the pipelines of diffusers have it).
    """
    config = scheduler.config
    if not config.get("use_dynamic_shifting", False):
        return {}
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    base, largest = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (largest - base) / (high - low)
    return {"mu": num_patches * slope + base - slope * low}
