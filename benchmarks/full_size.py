"""Full-size text-to-image pipelines with random weights, from their public configurations: speed is measured without a hub.

    python benchmarks/full_size.py             # counts the parameters of every architecture against the published ones
    python benchmarks/full_size.py sd2 FOLDER  # saves one, in float32, as anyone would save it

Random weights draw noise, not pictures, at the speed of the real ones. The tokenizers are local: one token per character, in
the vocabulary size of the real ones, so a short prompt costs what a long one costs (all are padded to one length).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
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

MILLION = 1_000_000
# Millions. The flow-matching transformers are published as 2 B, 12 B and 1.6 B: their digits are those of the configuration.
PARAMETERS = {
    "sd15": {"unet": 859.5, "vae": 83.7, "text_encoder": 123.1},
    "sd2": {"unet": 865.9, "vae": 83.7, "text_encoder": 340.4},
    "sdxl": {"unet": 2567.5, "vae": 83.7, "text_encoder": 123.1, "text_encoder_2": 694.7},
    "sd3-medium": {"transformer": 2028.3, "text_encoder": 123.7, "text_encoder_2": 694.7, "text_encoder_3": 4762.3},
    "flux-dev": {"transformer": 11901.4, "text_encoder": 123.1, "text_encoder_2": 4762.3},
    "sana-1600m": {"transformer": 1604.5, "text_encoder": 2614.3},
}


def build_pipeline(name: str, dtype: torch.dtype = torch.float32, device: str = "cpu", seed: int = 0) -> Any:
    """Return the diffusers pipeline `name`, a key of PIPELINES, with random weights of `dtype` made on `device`."""
    previous = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        with torch.device(device), torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.manual_seed(seed)
            pipeline = PIPELINES[name]()
    finally:
        torch.set_default_dtype(previous)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    check_sizes(name, pipeline)
    return pipeline


def check_sizes(name: str, pipeline: Any) -> None:
    """Raise a ValueError unless every part has the published number of parameters."""
    for part, published in PARAMETERS[name].items():
        found = num_parameters(getattr(pipeline, part)) / MILLION
        if round(found, 1) != published:
            raise ValueError(f"{part} of {name} has {found:.3f} M parameters; published are {published} M")


def num_parameters(module: torch.nn.Module) -> int:
    """Return the number of weights of `module`."""
    return sum(parameter.numel() for parameter in module.parameters())


def stable_diffusion_15() -> StableDiffusionPipeline:
    """Return Stable Diffusion 1.5: epsilon-prediction, CLIP-L, 512 px."""
    return StableDiffusionPipeline(
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
        text_encoder=CLIPTextModel(_clip_l()),
        scheduler=_scheduler(PNDMScheduler, **_scaled_linear(), skip_prk_steps=True, steps_offset=1),
        **_stable_diffusion_parts(),
    )


def stable_diffusion_2() -> StableDiffusionPipeline:
    """Return Stable Diffusion 2: v-prediction, OpenCLIP-H without its last layer, 768 px (the paper's generator)."""
    return StableDiffusionPipeline(
        unet=UNet2DConditionModel(
            sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True
        ),
        text_encoder=CLIPTextModel(_clip(1024, layers=23, heads=16, projection=512, activation="gelu")),
        scheduler=_scheduler(
            DDIMScheduler,
            **_scaled_linear(),
            prediction_type="v_prediction",
            steps_offset=1,
            clip_sample=False,
            set_alpha_to_one=False,
        ),
        **_stable_diffusion_parts(),
    )


def stable_diffusion_xl() -> StableDiffusionXLPipeline:
    """Return SDXL base 1.0: epsilon-prediction, CLIP-L and OpenCLIP-bigG, 1024 px."""
    return StableDiffusionXLPipeline(
        unet=UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ),
        vae=_autoencoder(sample_size=1024, scaling_factor=0.13025),
        text_encoder=CLIPTextModel(_clip_l()),
        text_encoder_2=CLIPTextModelWithProjection(_clip_big_g()),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        scheduler=_scheduler(EulerDiscreteScheduler, **_scaled_linear(), steps_offset=1, timestep_spacing="leading"),
        add_watermarker=False,
    )


def stable_diffusion_3_medium() -> StableDiffusion3Pipeline:
    """Return Stable Diffusion 3 medium: flow matching, CLIP-L, OpenCLIP-bigG and T5-XXL, 1024 px."""
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=128,
            num_layers=24,
            attention_head_dim=64,
            num_attention_heads=24,
            joint_attention_dim=4096,
            caption_projection_dim=1536,
            pooled_projection_dim=2048,
            pos_embed_max_size=192,
        ),
        vae=_flow_autoencoder(scaling_factor=1.5305, shift_factor=0.0609),
        text_encoder=CLIPTextModelWithProjection(_clip_l()),
        text_encoder_2=CLIPTextModelWithProjection(_clip_big_g()),
        text_encoder_3=T5EncoderModel(_t5_xxl()),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        tokenizer_3=_t5_tokenizer(),
        scheduler=_scheduler(FlowMatchEulerDiscreteScheduler, shift=3.0),
    )


def flux_dev() -> FluxPipeline:
    """Return FLUX.1-dev: flow matching with guidance distilled into the model, CLIP-L and T5-XXL, 1024 px."""
    return FluxPipeline(
        transformer=FluxTransformer2DModel(guidance_embeds=True),
        vae=_flow_autoencoder(scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=CLIPTextModel(_clip_l()),
        text_encoder_2=T5EncoderModel(_t5_xxl()),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_t5_tokenizer(),
        scheduler=_scheduler(FlowMatchEulerDiscreteScheduler, shift=3.0, use_dynamic_shifting=True),
    )


def sana_1600m() -> SanaPipeline:
    """Return Sana 1.6B: flow matching, linear attention, a 32 times smaller latent, Gemma 2 2B, 1024 px."""
    return SanaPipeline(
        transformer=SanaTransformer2DModel(),
        vae=AutoencoderDC(**_DC_AE_F32),
        text_encoder=Gemma2Model(
            Gemma2Config(
                hidden_size=2304, num_hidden_layers=26, num_attention_heads=8, num_key_value_heads=4, intermediate_size=9216
            )
        ),
        tokenizer=_gemma_tokenizer(),
        scheduler=_scheduler(
            DPMSolverMultistepScheduler, use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
        ),
    )


PIPELINES: dict[str, Callable[[], Any]] = {
    "sd15": stable_diffusion_15,
    "sd2": stable_diffusion_2,
    "sdxl": stable_diffusion_xl,
    "sd3-medium": stable_diffusion_3_medium,
    "flux-dev": flux_dev,
    "sana-1600m": sana_1600m,
}

_DC_AE_F32 = {
    "latent_channels": 32,
    "encoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "decoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "decoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "encoder_layers_per_block": (2, 2, 2, 3, 3, 3),
    "decoder_layers_per_block": (3, 3, 3, 3, 3, 3),
    "encoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "decoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "downsample_block_type": "Conv",
    "upsample_block_type": "interpolate",
    "decoder_norm_types": "rms_norm",
    "decoder_act_fns": "silu",
    "scaling_factor": 0.41407,
}


def _stable_diffusion_parts() -> dict[str, Any]:
    return {
        "vae": _autoencoder(sample_size=512, scaling_factor=0.18215),
        "tokenizer": _clip_tokenizer(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _scheduler(kind: Any, **settings: Any) -> Any:
    with torch.device("cpu"):  # schedulers compute their tables, which has no meaning on the meta device
        return kind(**settings)


def _scaled_linear() -> dict[str, Any]:
    return {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def _autoencoder(**settings: Any) -> AutoencoderKL:
    channels = (128, 256, 512, 512)
    blocks = {
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
    }
    return AutoencoderKL(block_out_channels=channels, layers_per_block=2, **blocks, **settings)


def _flow_autoencoder(**settings: Any) -> AutoencoderKL:
    return _autoencoder(sample_size=1024, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, **settings)


def _clip_l() -> CLIPTextConfig:
    return _clip(768, layers=12, heads=12, projection=768, activation="quick_gelu")


def _clip_big_g() -> CLIPTextConfig:
    return _clip(1280, layers=32, heads=20, projection=1280, activation="gelu")


def _clip(width: int, *, layers: int, heads: int, projection: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=projection,
        hidden_act=activation,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )


def _t5_xxl() -> T5Config:
    return T5Config(
        vocab_size=32128,
        d_model=4096,
        d_kv=64,
        d_ff=10240,
        num_layers=24,
        num_heads=64,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )


def _characters() -> list[str]:
    return [chr(code) for code in range(33, 127)]


def _clip_tokenizer() -> CLIPTokenizer:
    words = [*_characters(), *(f"{character}</w>" for character in _characters())]
    words += [f"<unused{i}>" for i in range(49406 - len(words))] + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=77)


def _t5_tokenizer() -> T5Tokenizer:
    words = ["<pad>", "</s>", "<unk>", "▁", *_characters()]
    return T5Tokenizer(vocab=[(word, 0.0 if i < 3 else -2.0) for i, word in enumerate(words)], model_max_length=512)


def _gemma_tokenizer() -> GemmaTokenizer:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *_characters()]
    return GemmaTokenizer(vocab={word: i for i, word in enumerate(words)}, model_max_length=300)


def main() -> None:
    """Count every architecture on the meta device, or save one."""
    if len(sys.argv) == 3:
        build_pipeline(sys.argv[1]).save_pretrained(sys.argv[2], safe_serialization=True)
        return
    for name in PIPELINES:
        pipeline = build_pipeline(name, device="meta")
        sizes = {part: num_parameters(getattr(pipeline, part)) / MILLION for part in PARAMETERS[name]}
        print(name, {part: f"{size:.1f} M" for part, size in sizes.items()})


if __name__ == "__main__":
    main()
