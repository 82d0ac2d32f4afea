"""Stable Diffusion 1.x, 2.x and XL: CLIP text encoders and a conditional UNet, as a `Family`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel

from tckr.models.diffusion.family import token_lengths
from tckr.models.diffusion.generator import Conditioning
from tckr.models.diffusion.repeated import computed_once, contiguous_inputs

ATTENTION_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
PIPELINE_MULTIPLE = 8  # these pipelines reject other image sides, whatever their autoencoder


class StableDiffusion:
    """One `StableDiffusionPipeline`."""

    lora_targets: ClassVar[tuple[str, ...]] = ATTENTION_PROJECTIONS
    lora_part: ClassVar[Literal["unet", "transformer"]] = "unet"
    cuda_dtype: ClassVar[torch.dtype] = torch.float16
    vae_overflows: ClassVar[bool] = False
    distilled_guidance: ClassVar[bool] = False

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.num_tokens: int = pipeline.tokenizer.model_max_length
        self.size_multiple = math.lcm(PIPELINE_MULTIPLE, pipeline.vae_scale_factor)
        self.largest_size: int | None = None

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return text embeddings [B, L, D]."""
        pipeline = self.pipeline
        embeds, _ = pipeline.encode_prompt(list(prompts), pipeline.device, 1, do_classifier_free_guidance=False)
        return {"prompt_embeds": embeds}

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Return the lengths in CLIP tokens."""
        return token_lengths(self.pipeline.tokenizer, prompts)

    def predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Return the UNet's output."""
        return self.pipeline.unet(latents, times, encoder_hidden_states=conditioning["prompt_embeds"], return_dict=False)[0]

    def schedule_arguments(self, scheduler: Any, steps: int, latents: torch.Tensor) -> dict[str, Any]:
        """Return nothing: the schedule is the same for all image sizes."""
        return {}

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Project the text once, and give linear layers contiguous pixels."""
        modules = list(self.pipeline.unet.modules())
        attentions = [module for module in modules if isinstance(module, Attention) and module.is_cross_attention]
        projections = [layer for attention in attentions for layer in (attention.to_k, attention.to_v)]
        transformers = [module for module in modules if isinstance(module, Transformer2DModel)]
        with (
            computed_once(projections),
            contiguous_inputs(module.proj_in for module in transformers if module.use_linear_projection),
        ):
            yield


class StableDiffusionXL(StableDiffusion):
    """One `StableDiffusionXLPipeline`: two text encoders, pooled embeddings, and the image size as a condition."""

    vae_overflows: ClassVar[bool] = True

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return embeddings [B, L, D] and pooled ones [B, P]; zeros for the empty prompt if SDXL was trained this way."""
        embeds, _, pooled, _ = self.pipeline.encode_prompt(list(prompts), do_classifier_free_guidance=False)
        if self.pipeline.config.force_zeros_for_empty_prompt:
            empty = [row for row, prompt in enumerate(prompts) if not prompt]
            embeds[empty], pooled[empty] = 0, 0
        return {"prompt_embeds": embeds, "pooled_embeds": pooled}

    def predict(self, latents: torch.Tensor, times: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Return the UNet's output for uncropped images of the size of the latents (Podell et al. 2023, section 2.2)."""
        embeds, factor = conditioning["prompt_embeds"], self.pipeline.vae_scale_factor
        height, width = factor * latents.shape[2], factor * latents.shape[3]
        sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=embeds.dtype, device=embeds.device)
        return self.pipeline.unet(
            latents,
            times,
            encoder_hidden_states=embeds,
            added_cond_kwargs={
                "text_embeds": conditioning["pooled_embeds"],
                "time_ids": sizes.repeat(len(latents), 1),
            },
            return_dict=False,
        )[0]
