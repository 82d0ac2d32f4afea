"""Tiny random checkpoints of the captioner families beside BLIP-2: BLIP, Florence-2 and three chat models, at 16 to 32 px.

Seeds were chosen so that different images get different captions, none of them empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    Florence2VisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

WORDS = ["a", "the", "small", "large", "red", "blue", "round", "thin", "digit", "white", "Describe", "this", "image", "."]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
IMAGE_SIZE = 16
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TEMPLATE = (
    "{{% for message in messages %}}<s>{{% for part in message['content'] %}}"
    "{{% if part['type'] == 'image' %}}{image}{{% else %}} {{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}{{% endfor %}}"
    "{{% if add_generation_prompt %}} a{{% endif %}}"
)
"""A chat template; `image` is the text that a processor replaces by an image's tokens."""


def build_blip(folder: Path, seed: int = 3) -> Path:
    """Save a random BLIP: a vision tower, and a BERT-like decoder that attends to it."""
    tokenizer = _tokenizer()
    processor = BlipProcessor(BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}), tokenizer)
    config = BlipConfig(
        text_config=dict(
            TEXT,
            vocab_size=len(tokenizer),
            encoder_hidden_size=16,
            projection_dim=16,
            max_position_embeddings=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            sep_token_id=tokenizer.eos_token_id,
            initializer_range=0.5,
        ),
        vision_config=dict(TEXT, image_size=IMAGE_SIZE, patch_size=4, projection_dim=16, initializer_range=0.5),
        projection_dim=16,
        image_text_hidden_size=16,
    )
    return _save(folder, lambda: BlipForConditionalGeneration(config), processor, seed)


def build_florence(folder: Path, seed: int = 0) -> Path:
    """Save a random Florence-2: two stages of its vision tower, and BART."""
    tokenizer = _tokenizer(["<image>"], image_token="<image>")
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False)
    images.image_seq_length = 5  # 2 x 2 patches after strides 4 and 2, and their mean
    config = Florence2Config(
        vision_config=Florence2VisionConfig(
            depths=(1, 1),
            patch_size=(7, 3),
            patch_stride=(4, 2),
            patch_padding=(3, 1),
            patch_prenorm=(False, True),
            embed_dim=(8, 16),
            num_heads=(2, 2),
            num_groups=(2, 2),
            window_size=2,
            projection_dim=16,
            initializer_range=0.5,
        ),
        text_config=BartConfig(
            vocab_size=len(tokenizer),
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_position_embeddings=64,
            init_std=0.5,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.eos_token_id,
            forced_eos_token_id=None,
        ),
        image_token_id=tokenizer.image_token_id,
    )
    return _save(folder, lambda: Florence2ForConditionalGeneration(config), Florence2Processor(images, tokenizer), seed)


def build_llava(folder: Path, seed: int = 0) -> Path:
    """Save a random LLaVA: CLIP's vision tower and Llama."""
    tokenizer = _tokenizer(["<image>"])
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False),
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=1,  # CLIP's class token
        chat_template=TEMPLATE.format(image="<image>"),
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            **TEXT, image_size=IMAGE_SIZE, patch_size=4, projection_dim=16, initializer_range=0.5
        ),
        text_config=LlamaConfig(**_decoder(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    return _save(folder, lambda: LlavaForConditionalGeneration(config), processor, seed)


def build_qwen(folder: Path, seed: int = 0) -> Path:
    """Save a random Qwen2-VL; its processor, which wants torchvision for videos, is saved in its parts."""
    marks = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer = _tokenizer(marks)
    image, video, start, end = tokenizer.convert_tokens_to_ids(marks)
    images = Qwen2VLImageProcessorPil(min_pixels=IMAGE_SIZE**2, max_pixels=IMAGE_SIZE**2, patch_size=4, merge_size=2)
    config = Qwen2VLConfig(
        vision_config={
            "depth": 1,
            "embed_dim": 16,
            "hidden_size": 16,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
        },
        text_config=dict(
            _decoder(tokenizer),
            rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
        ),
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    _save(folder, lambda: Qwen2VLForConditionalGeneration(config), tokenizer, seed)
    images.save_pretrained(folder)
    template = TEMPLATE.format(image="<|vision_start|><|image_pad|><|vision_end|>")
    (folder / "chat_template.jinja").write_text(template)
    return folder


def build_idefics(folder: Path, seed: int = 0) -> Path:
    """Save a random Idefics3, the architecture of SmolVLM: an image is cut into parts, each with its own tokens."""
    marks = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>", "<row_1_col_1>"]
    tokenizer = _tokenizer(marks)
    size = {"longest_edge": IMAGE_SIZE}
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(size=size, max_image_size=size),
        tokenizer,
        image_seq_len=4,
        chat_template=TEMPLATE.format(image="<image>"),
    )
    config = Idefics3Config(
        vision_config=dict(TEXT, image_size=IMAGE_SIZE, patch_size=4, initializer_range=0.5),
        text_config=LlamaConfig(**_decoder(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return _save(folder, lambda: Idefics3ForConditionalGeneration(config), processor, seed)


def _decoder(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return dict(
        TEXT,
        vocab_size=len(tokenizer),
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.5,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def _tokenizer(marks: Sequence[str] = (), **named: str) -> PreTrainedTokenizerFast:
    words = [*SPECIAL, *WORDS]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=named,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(marks)})
    return tokenizer


def _save(folder: Path, build: Callable[[], Any], processor: Any, seed: int) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "blip": build_blip,
    "florence": build_florence,
    "llava": build_llava,
    "qwen": build_qwen,
    "idefics": build_idefics,
}
