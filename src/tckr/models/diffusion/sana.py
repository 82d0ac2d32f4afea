"""Sana: Gemma 2 as text encoder and a linear-attention transformer over latents that are 32 times smaller, as a `Family`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal

import torch

from tckr.models.diffusion.family import token_lengths
from tckr.models.diffusion.generator import Conditioning
from tckr.models.diffusion.repeated import computed_once

GEMMA_TOKENS = 300  # as the pipeline's default
PIPELINE_MULTIPLE = 32  # the pipeline rejects other image sides, whatever its autoencoder


class Sana:
    """One `SanaPipeline`, without its "complex human instruction", which would add 300 tokens to each caption."""

    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v")  # as diffusers' train_dreambooth_lora_sana.py
    lora_part: ClassVar[Literal["unet", "transformer"]] = "transformer"
    cuda_dtype: ClassVar[torch.dtype] = torch.bfloat16
    vae_overflows: ClassVar[bool] = False
    distilled_guidance: ClassVar[bool] = False
    num_tokens = GEMMA_TOKENS

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.size_multiple = math.lcm(PIPELINE_MULTIPLE, pipeline.vae_scale_factor)
        self.largest_size: int | None = None

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return embeddings [B, L, D] and the mask [B, L] of their tokens, 1 or 0 in the dtype of the embeddings."""
        embeds, mask, _, _ = self.pipeline.encode_prompt(
            list(prompts),
            do_classifier_free_guidance=False,
            max_sequence_length=GEMMA_TOKENS,
            complex_human_instruction=None,
        )
        return {"prompt_embeds": embeds, "prompt_mask": mask.to(embeds.dtype)}

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Return the lengths in Gemma's tokens, in lower case as the encoder's input."""
        return token_lengths(self.pipeline.tokenizer, [prompt.lower().strip() for prompt in prompts])

    def predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Return the transformer's velocity."""
        transformer = self.pipeline.transformer
        output = transformer(
            latents,
            encoder_hidden_states=conditioning["prompt_embeds"],
            encoder_attention_mask=conditioning["prompt_mask"],
            timestep=times * transformer.config.timestep_scale,
            return_dict=False,
        )[0]
        return output[:, : latents.shape[1]]  # some variants also predict a variance, which is not used

    def schedule_arguments(self, scheduler: Any, steps: int, latents: torch.Tensor) -> dict[str, Any]:
        """Return nothing: the schedule is the same for all image sizes."""
        return {}

    def drawing(self) -> AbstractContextManager[None]:
        """Project the text once: it has more tokens than a small image, and every layer projects it."""
        transformer = self.pipeline.transformer
        attentions = [block.attn2 for block in transformer.transformer_blocks if block.attn2 is not None]
        projections = [layer for attention in attentions for layer in (attention.to_k, attention.to_v)]
        return computed_once([transformer.caption_projection, transformer.caption_norm, *projections])
