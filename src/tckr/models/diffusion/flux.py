"""FLUX.1 (dev and schnell): pooled CLIP, T5 and a transformer over 2 x 2 patches of the latents, as a `Family`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from tckr.models.diffusion.family import dynamic_shift, token_lengths
from tckr.models.diffusion.generator import Conditioning
from tckr.models.diffusion.stable_diffusion_3 import JOINT_ATTENTION

T5_TOKENS = 512  # as the pipeline's default
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
TIME_UNIT = 1000.0  # the transformer's input is sigma, schedulers count in thousandths


class Flux:
    """One `FluxPipeline`. Guidance is distilled into the model (dev) or absent (schnell): one evaluation per step."""

    lora_targets: ClassVar[tuple[str, ...]] = (
        *JOINT_ATTENTION,
        *FEED_FORWARD,
    )  # as diffusers' train_dreambooth_lora_flux.py
    lora_part: ClassVar[Literal["unet", "transformer"]] = "transformer"
    cuda_dtype: ClassVar[torch.dtype] = torch.bfloat16
    vae_overflows: ClassVar[bool] = False
    distilled_guidance: ClassVar[bool] = True
    num_tokens = T5_TOKENS

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.size_multiple: int = 2 * pipeline.vae_scale_factor
        self.largest_size: int | None = None

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return T5's embeddings [B, L, D] and CLIP's pooled embeddings [B, P]."""
        embeds, pooled, _ = self.pipeline.encode_prompt(list(prompts), max_sequence_length=T5_TOKENS)
        return {"prompt_embeds": embeds, "pooled_embeds": pooled}

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Return the lengths in T5 tokens."""
        return token_lengths(self.pipeline.tokenizer_2, prompts)

    def predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Return the transformer's velocity; schnell ignores the guidance scale."""
        transformer, embeds = self.pipeline.transformer, conditioning["prompt_embeds"]
        rows, columns = latents.shape[2] // 2, latents.shape[3] // 2
        output = transformer(
            hidden_states=pack(latents),
            timestep=times / TIME_UNIT,
            guidance=conditioning["guidance"].float() if transformer.config.guidance_embeds else None,
            pooled_projections=conditioning["pooled_embeds"],
            encoder_hidden_states=embeds,
            txt_ids=torch.zeros(embeds.shape[1], 3, device=embeds.device, dtype=embeds.dtype),
            img_ids=patch_places(rows, columns).to(embeds.device, embeds.dtype),
            return_dict=False,
        )[0]
        return unpack(output, rows, columns)

    def schedule_arguments(self, scheduler: Any, steps: int, latents: torch.Tensor) -> dict[str, Any]:
        """Return even noise levels for the Euler scheduler, and the shift for this image size."""
        shift = dynamic_shift(scheduler, latents.shape[2] * latents.shape[3] // 4)
        if scheduler.config.get("use_flow_sigmas", False):
            return shift
        return {"sigmas": np.linspace(1.0, 1 / steps, steps), **shift}

    def drawing(self) -> AbstractContextManager[None]:
        """Change nothing: text and image attend to each other, so text features differ after every layer."""
        return nullcontext()


def pack(latents: torch.Tensor) -> torch.Tensor:
    """Return patches [B, h/2 * w/2, 4C] of latents [B, C, h, w]."""
    batch, channels, height, width = latents.shape
    patches = latents.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(batch, (height // 2) * (width // 2), 4 * channels)


def unpack(patches: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return latents [B, C, h, w]: the inverse of `pack`."""
    batch, _, features = patches.shape
    latents = patches.reshape(batch, rows, columns, features // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return latents.reshape(batch, features // 4, 2 * rows, 2 * columns)


def patch_places(rows: int, columns: int) -> torch.Tensor:
    """Return (0, row, column) of each patch, [rows * columns, 3]."""
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    return torch.nn.functional.pad(places, (1, 0))
