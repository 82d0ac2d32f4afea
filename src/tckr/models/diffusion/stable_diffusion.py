"""Stable Diffusion 1.x and 2.x (CLIP text encoder, conditional UNet, KL autoencoder) behind the `Generator` protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import cast_training_params
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from tckr.models.diffusion.generator import Conditioning, Sampling
from tckr.models.quiet import quiet_libraries

ATTENTION_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
PIPELINE_MULTIPLE = 8  # StableDiffusionPipeline refuses other image sides, whatever its autoencoder


class StableDiffusionGenerator:
    """One `StableDiffusionPipeline`; which noise its UNet predicts is read from the scheduler's configuration."""

    def __init__(self, pipeline: Any) -> None:  # importing its class prints notices; `load_generator` does so in silence
        self.pipeline = pipeline
        self.pipeline.set_progress_bar_config(disable=True)
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False).eval()
        # Sampling schedulers cannot add noise at arbitrary timesteps; the training process has the same noise levels.
        self.process = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.size_multiple = math.lcm(PIPELINE_MULTIPLE, pipeline.vae_scale_factor)
        self.num_tokens: int = pipeline.tokenizer.model_max_length
        self.num_timesteps: int = self.process.config.num_train_timesteps

    @torch.inference_mode()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Return text embeddings [B, L, D], each prompt padded or cut to the tokenizer's L tokens."""
        with quiet_libraries():  # diffusers prints what it cuts off, and that is private
            pipeline = self.pipeline
            embeds, _ = pipeline.encode_prompt(list(prompts), pipeline.device, 1, do_classifier_free_guidance=False)
        return {"prompt_embeds": embeds}

    def count_cut(self, prompts: Sequence[str]) -> int:
        """Return how many of `prompts` have more tokens, with those for start and end, than `encode_prompts` keeps."""
        with quiet_libraries():
            ids = self.pipeline.tokenizer(list(prompts), truncation=False)["input_ids"]
        return sum(len(tokens) > self.num_tokens for tokens in ids)

    @torch.inference_mode()
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Return means and standard deviations [B, 2C, h, w] in the UNet's scale (times the VAE's scaling factor)."""
        vae = self.pipeline.vae
        posterior = vae.encode(images.to(vae.device, vae.dtype) * 2 - 1).latent_dist
        return torch.cat([posterior.mean, posterior.std], dim=1) * vae.config.scaling_factor

    def training_loss(
        self, latents: torch.Tensor, conditioning: Conditioning, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """Return mean squared error [B] between the UNet's output and its target.

        The target is the noise (Ho et al. 2020, eq. 14), or the velocity (Salimans and Ho 2022, appendix D) when the
        scheduler says `v_prediction`.
        """
        noisy = self.process.add_noise(latents, noise, timesteps)
        embeds = conditioning["prompt_embeds"]
        output = self.pipeline.unet(noisy, timesteps, encoder_hidden_states=embeds, return_dict=False)[0]
        target = noise
        if self.process.config.prediction_type == "v_prediction":
            target = self.process.get_velocity(latents, noise, timesteps)
        return (output.float() - target.float()).square().mean(dim=(1, 2, 3))

    @torch.inference_mode()
    def denoise(
        self, conditioning: Conditioning, negative: Conditioning, *, seeds: Sequence[int], sampling: Sampling
    ) -> torch.Tensor:
        """Return latents [B, C, h, w] from the pipeline's own sampling loop and scheduler."""
        # On the CPU and one generator per image: the same noise on every device, in every batch. Schedulers that draw noise
        # at each step go on with the same generators.
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        embeds = conditioning["prompt_embeds"]
        return self.pipeline(
            prompt_embeds=embeds,
            negative_prompt_embeds=negative["prompt_embeds"].expand_as(embeds),
            height=sampling.size,
            width=sampling.size,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance_scale,
            generator=generators,
            output_type="latent",
        ).images

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Return uint8 [B, H, W, 3] from the autoencoder."""
        vae = self.pipeline.vae
        images = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        return np.rint(self.pipeline.image_processor.postprocess(images, output_type="np") * 255).astype(np.uint8)

    def add_lora(self, rank: int, seed: int) -> dict[str, torch.nn.Parameter]:
        """Insert LoRA (Hu et al. 2022) of scale 1 into the UNet's attention projections; B starts at zero."""
        unet = self.pipeline.unet
        lora = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(ATTENTION_PROJECTIONS))
        with torch.random.fork_rng():  # peft draws A from torch's global generator
            torch.manual_seed(seed)
            unet.add_adapter(lora)
        cast_training_params(unet, dtype=torch.float32)
        return {name: parameter for name, parameter in unet.named_parameters() if parameter.requires_grad}

    def save_lora(self, folder: Path) -> None:
        """Write `pytorch_lora_weights.safetensors` in diffusers' layout, without metadata of unsteady order."""
        unet = self.pipeline.unet
        type(self.pipeline).save_lora_weights(
            folder,
            unet_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(unet)),
            safe_serialization=True,
        )

    def load_lora(self, folder: Path) -> None:
        """Merge the adapter in `folder` into the UNet's weights."""
        with quiet_libraries():  # diffusers remarks that the text encoder has no adapter
            self.pipeline.load_lora_weights(folder)
        self.pipeline.fuse_lora(components=["unet"])
        self.pipeline.unload_lora_weights()
