"""Stable Diffusion 3 and 3.5: two CLIP encoders, T5 and a multimodal transformer, as a `Family`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal

import torch

from tckr.models.diffusion.family import dynamic_shift, token_lengths
from tckr.models.diffusion.generator import Conditioning

T5_TOKENS = 256  # as the pipeline's default
JOINT_ATTENTION = (
    "attn.to_q",
    "attn.to_k",
    "attn.to_v",
    "attn.to_out.0",
    "attn.add_q_proj",
    "attn.add_k_proj",
    "attn.add_v_proj",
    "attn.to_add_out",
)


class StableDiffusion3:
    """One `StableDiffusion3Pipeline`; the checkpoint may lack T5."""

    lora_targets: ClassVar[tuple[str, ...]] = JOINT_ATTENTION  # as diffusers' train_dreambooth_lora_sd3.py
    lora_part: ClassVar[Literal["unet", "transformer"]] = "transformer"
    cuda_dtype: ClassVar[torch.dtype] = torch.bfloat16
    vae_overflows: ClassVar[bool] = False
    distilled_guidance: ClassVar[bool] = False

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.patch_size: int = pipeline.transformer.config.patch_size
        self.size_multiple: int = pipeline.vae_scale_factor * self.patch_size
        self.largest_size: int | None = self.size_multiple * pipeline.transformer.config.pos_embed_max_size
        # CLIP reads the first 77 tokens of a longer prompt; only T5 reads all tokens that are counted here.
        self.num_tokens: int = T5_TOKENS if pipeline.text_encoder_3 is not None else pipeline.tokenizer_max_length

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return embeddings [B, L, D], CLIP's tokens and then T5's, and CLIP's pooled embeddings [B, P]."""
        texts = list(prompts)
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            texts, texts, texts, do_classifier_free_guidance=False, max_sequence_length=T5_TOKENS
        )
        return {"prompt_embeds": embeds, "pooled_embeds": pooled}

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Return the lengths in T5 tokens, or in CLIP tokens without T5."""
        return token_lengths(self.pipeline.tokenizer_3 or self.pipeline.tokenizer, prompts)

    def predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Return the transformer's velocity."""
        return self.pipeline.transformer(
            hidden_states=latents,
            timestep=times,
            encoder_hidden_states=conditioning["prompt_embeds"],
            pooled_projections=conditioning["pooled_embeds"],
            return_dict=False,
        )[0]

    def schedule_arguments(self, scheduler: Any, steps: int, latents: torch.Tensor) -> dict[str, Any]:
        """Return the shift for this image size (3.5 medium)."""
        return dynamic_shift(scheduler, (latents.shape[2] // self.patch_size) * (latents.shape[3] // self.patch_size))

    def drawing(self) -> AbstractContextManager[None]:
        """Change nothing: text and image attend to each other, so text features differ after every layer."""
        return nullcontext()
