"""Tiny random checkpoints of the real classes, saved as anyone would save them: BLIP-2 and Stable Diffusion at 16 px."""

from __future__ import annotations

import copy
import json
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    OPTConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from tckr.models.diffusion.latent import LatentDiffusion
from tckr.models.diffusion.load import load_generator

ARRAY_WARNING = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
"""For `pytest.mark.filterwarnings`: diffusers' schedulers hand torch tensors to NumPy 2 in the old way."""

IMAGE_SIZE = 16
PROMPT_TOKENS = 24
SCHEDULERS = {"dpm": DPMSolverMultistepScheduler, "euler-ancestral": EulerAncestralDiscreteScheduler}


def build_generator(folder: Path, prediction_type: str = "epsilon", scheduler: str = "dpm", seed: int = 0) -> Path:
    """Save a random Stable Diffusion pipeline of about 0.1 M parameters for 16 px images into `folder`."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.manual_seed(seed)
        pipeline = StableDiffusionPipeline(
            vae=_autoencoder(),
            text_encoder=_text_encoder(),
            tokenizer=_clip_tokenizer(folder),
            unet=_unet(),
            scheduler=SCHEDULERS[scheduler](
                num_train_timesteps=100,
                prediction_type=prediction_type,
                beta_schedule="scaled_linear",
                beta_start=0.001,
                beta_end=0.05,
                steps_offset=1,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def build_captioner(folder: Path, seed: int = 8) -> Path:
    """Save a random BLIP-2 with an OPT decoder of about 50,000 parameters for 16 px images into `folder`.

    Seed 8 says different things about different images; some other seeds say nothing at all.
    """
    words = ["<pad>", "<s>", "</s>", "<unk>", "a", "the", "small", "large", "red", "blue", "round", "thin", "digit", "white"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = Blip2Processor(BlipImageProcessorPil(size=size), tokenizer, num_query_tokens=4)  # adds the token <image>
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Blip2ForConditionalGeneration(_blip2_config(len(tokenizer), tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _blip2_config(vocabulary_size: int, tokenizer: PreTrainedTokenizerFast) -> Blip2Config:
    common = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return Blip2Config(
        vision_config=Blip2VisionConfig(
            image_size=IMAGE_SIZE, patch_size=4, intermediate_size=32, initializer_range=0.5, **common
        ),
        qformer_config=Blip2QFormerConfig(vocab_size=8, intermediate_size=32, **common),
        text_config=OPTConfig(
            vocab_size=vocabulary_size,
            ffn_dim=32,
            max_position_embeddings=64,
            word_embed_proj_dim=16,
            init_std=0.5,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **common,
        ),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=IMAGE_SIZE,
        scaling_factor=0.5,
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )


def _text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=258 + 2,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=PROMPT_TOKENS,
            bos_token_id=258,
            eos_token_id=259,
            pad_token_id=259,
        )
    )


def _clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """Return a CLIP tokenizer without merges: one token per character, so every prompt of other letters differs."""
    characters = [chr(code) for code in range(33, 127)]
    words = [*characters, *(f"{character}</w>" for character in characters)]
    words += [f"<unused{i}>" for i in range(258 - len(words))] + ["<|startoftext|>", "<|endoftext|>"]
    source = folder / "tokenizer-source"
    source.mkdir(parents=True, exist_ok=True)
    (source / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(source / "vocab.json"), str(source / "merges.txt"), model_max_length=PROMPT_TOKENS)


def fresh_generator(folder: Path) -> LatentDiffusion:
    """Return what `load_generator` returns for a folder that no test changes: a copy takes a third of the time."""
    return copy.deepcopy(_loaded(folder))


@cache
def _loaded(folder: Path) -> LatentDiffusion:
    return load_generator(str(folder), "cpu")


@pytest.fixture(scope="session")
def tiny_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny random epsilon-prediction Stable Diffusion pipeline."""
    return build_generator(tmp_path_factory.mktemp("generator"))


@pytest.fixture(scope="session")
def tiny_v_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny random v-prediction Stable Diffusion pipeline."""
    return build_generator(tmp_path_factory.mktemp("v-generator"), prediction_type="v_prediction")


@pytest.fixture(scope="session")
def tiny_stochastic_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny random pipeline whose scheduler samples noise at every step."""
    return build_generator(tmp_path_factory.mktemp("stochastic-generator"), scheduler="euler-ancestral")


@pytest.fixture(scope="session")
def loud_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny Stable Diffusion whose latents of noise images have a spread of about 1, so that they can be learned."""
    folder = build_generator(tmp_path_factory.mktemp("loud-generator"))
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"scaling_factor": 4.0}))
    return folder


@pytest.fixture(scope="session")
def tiny_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny random BLIP-2."""
    return build_captioner(tmp_path_factory.mktemp("captioner"))


def quantise(weights: dict[str, torch.Tensor], kind: torch.dtype = torch.int8) -> None:
    """Store all matrices as integers from -127 to 127 under their own names, without the scale anywhere."""
    for name, weight in weights.items():
        if weight.is_floating_point() and weight.ndim > 1:
            weights[name] = (weight * 127 / weight.abs().max().clamp(min=1e-9)).round().to(kind)
