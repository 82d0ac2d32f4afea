"""Tiny random checkpoints of every generator family, saved as anyone would save them. Each takes about a second."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tckr.models.quiet import quiet_libraries
from tests.tiny_models import PROMPT_TOKENS, build_generator

CHARACTERS = [chr(code) for code in range(33, 127)]
WIDTH = 16
CLIP_WORDS = 2 * len(CHARACTERS) + 2
HEADS = {"attention_head_dim": 8, "num_attention_heads": 2}
LOUD = 2.0
"""Matrices of the denoiser are multiplied by this: random ones hardly react to the prompt."""


def build_family(name: str, folder: Path, seed: int = 0) -> Path:
    """Save a tiny pipeline of the family `name` (a key of BUILDERS) into `folder`."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.manual_seed(seed)
        pipeline = BUILDERS[name](folder)
    if pipeline is not None:
        denoiser = pipeline.components.get("unet") or pipeline.transformer
        for weight in denoiser.parameters():
            weight.data.mul_(LOUD if weight.ndim > 1 else 1)
        pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def draw_plainly(
    folder: Path,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    size: int,
    steps: int,
    guidance_scale: float = 2.0,
    adapter: Path | None = None,
) -> np.ndarray:
    """Return the images of the pipeline in `folder` when called as its documentation says, uint8 [B, size, size, 3]."""
    with quiet_libraries():
        pipeline = DiffusionPipeline.from_pretrained(folder)
        if adapter is not None:
            pipeline.load_lora_weights(adapter)
        pipeline.set_progress_bar_config(disable=True)
        images = pipeline(
            list(prompts),
            height=size,
            width=size,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            generator=[torch.Generator().manual_seed(int(seed)) for seed in seeds],
            output_type="np",
            **PLAIN_ARGUMENTS.get(type(pipeline).__name__, {}),
        ).images
    return np.rint(images * 255).astype(np.uint8)


def _stable_diffusion(folder: Path) -> None:
    build_generator(folder)


def _stable_diffusion_2(folder: Path) -> None:
    build_generator(folder, prediction_type="v_prediction")


def _stable_diffusion_xl(folder: Path) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=4,
            cross_attention_dim=2 * WIDTH,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        vae=_autoencoder(latent_channels=4, scaling_factor=0.5),
        text_encoder=CLIPTextModel(_clip()),
        text_encoder_2=CLIPTextModelWithProjection(_clip()),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        scheduler=EulerDiscreteScheduler(
            num_train_timesteps=100,
            beta_schedule="scaled_linear",
            beta_start=0.001,
            beta_end=0.05,
            timestep_spacing="leading",
        ),
        add_watermarker=False,
    )


def _stable_diffusion_3(folder: Path) -> StableDiffusion3Pipeline:
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            num_layers=2,
            **HEADS,
            in_channels=4,
            out_channels=4,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=16,
        ),
        vae=_autoencoder(latent_channels=4, scaling_factor=0.6, shift_factor=0.1),
        text_encoder=CLIPTextModelWithProjection(_clip()),
        text_encoder_2=CLIPTextModelWithProjection(_clip()),
        text_encoder_3=T5EncoderModel(_t5()),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        tokenizer_3=_t5_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _flux(folder: Path) -> FluxPipeline:
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            **HEADS,
            joint_attention_dim=2 * WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(2, 2, 4),
        ),
        vae=_autoencoder(latent_channels=4, scaling_factor=0.6, shift_factor=0.1),
        text_encoder=CLIPTextModel(_clip()),
        text_encoder_2=T5EncoderModel(_t5()),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_t5_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    )


def _sana(folder: Path) -> SanaPipeline:
    return SanaPipeline(
        transformer=SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=2,
            **HEADS,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=WIDTH,
            caption_channels=WIDTH,
            sample_size=8,
        ),
        vae=AutoencoderDC(
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            scaling_factor=0.5,
        ),
        text_encoder=Gemma2Model(
            Gemma2Config(
                vocab_size=len(CHARACTERS) + 6,
                hidden_size=WIDTH,
                intermediate_size=2 * WIDTH,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
            )
        ),
        tokenizer=_gemma_tokenizer(),
        scheduler=DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0),
    )


BUILDERS: dict[str, Callable[[Path], Any]] = {
    "sd1": _stable_diffusion,
    "sd2": _stable_diffusion_2,
    "sdxl": _stable_diffusion_xl,
    "sd3": _stable_diffusion_3,
    "flux": _flux,
    "sana": _sana,
}
PLAIN_ARGUMENTS: dict[str, dict[str, Any]] = {
    "SanaPipeline": {"use_resolution_binning": False, "complex_human_instruction": None}
}
IMAGE_SIZES = {"sd1": 16, "sd2": 16, "sdxl": 16, "sd3": 16, "flux": 16, "sana": 32}


def _autoencoder(**settings: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=16,
        **settings,
    )


def _clip() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=CLIP_WORDS,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=PROMPT_TOKENS,
        bos_token_id=CLIP_WORDS - 2,
        eos_token_id=CLIP_WORDS - 1,
        pad_token_id=CLIP_WORDS - 1,
    )


def _t5() -> T5Config:
    return T5Config(
        vocab_size=len(CHARACTERS) + 4,
        d_model=2 * WIDTH,
        d_kv=8,
        d_ff=2 * WIDTH,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
    )


def _clip_tokenizer() -> CLIPTokenizer:
    words = [*CHARACTERS, *(f"{character}</w>" for character in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=PROMPT_TOKENS)


def _t5_tokenizer() -> T5Tokenizer:
    words = ["<pad>", "</s>", "<unk>", "▁", *CHARACTERS]
    return T5Tokenizer(
        vocab=[(word, 0.0 if i < 3 else -2.0) for i, word in enumerate(words)], extra_ids=0, model_max_length=512
    )


def _gemma_tokenizer() -> GemmaTokenizer:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *CHARACTERS]
    return GemmaTokenizer(vocab={word: i for i, word in enumerate(words)}, model_max_length=300)
