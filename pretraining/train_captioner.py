"""Train the captioner, a tiny BLIP-2: `python -m pretraining.train_captioner`.

Vision model, Q-Former and language model learn together. Linear heads that read the fields of a scene, or the class of a
photograph, from the Q-Former's output and from the mean image token help at first and are dropped on export.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    OPTConfig,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from .bpe import CAPTION_TOKENS, caption_tokenizer
from .loop import Batch, Report, add_options, autocast, fit, plan_of, take_over, take_over_words
from .mixture import draw_index, split_index, to_grey
from .photos import PHOTOGRAPHS, load_photos
from .prompts import grey_caption
from .render import RUNS
from .train_autoencoder import from_bytes, to_bytes, to_model
from .vocabulary import FIELDS, caption

QUERIES = 8
PHOTO_CLASSES = 100
UNKNOWN = -100
SHARES = [0.25, 0.6, 0.15]
"""Of the rendered world, photographs and pictograms."""
GREY = 0.12
"""Share of photographs and pictograms that are made grey, which their captions say."""


def new_processor() -> Blip2Processor:
    """Return the processor: 32 x 32 px, values -1..1, the captioner's tokenizer with '<image>' added."""
    images = BlipImageProcessorPil(size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return Blip2Processor(images, caption_tokenizer(), num_query_tokens=QUERIES)


def new_captioner(processor: Blip2Processor) -> Blip2ForConditionalGeneration:
    """Return an untrained captioner of about 1.8 M parameters."""
    tokenizer = processor.tokenizer
    vision = Blip2VisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=5,
        num_attention_heads=4,
        image_size=32,
        patch_size=4,
        initializer_range=0.02,
    )
    bridge = Blip2QFormerConfig(
        vocab_size=8,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=16,
        cross_attention_frequency=1,
        encoder_hidden_size=128,
    )
    text = OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=256,
        max_position_embeddings=128,
        dropout=0.0,
        word_embed_proj_dim=128,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    config = Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=bridge.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=QUERIES,
        image_token_index=image_token,
    )
    model = Blip2ForConditionalGeneration(config)
    nn.init.normal_(model.query_tokens, std=0.5)
    return model


class Learner(nn.Module):
    """The captioner and its auxiliary heads."""

    def __init__(self, processor: Blip2Processor) -> None:
        """Build both untrained."""
        super().__init__()
        self.captioner = new_captioner(processor)
        self.captioner.set_attn_implementation("eager")  # twice as fast as the fused kernel to train on CPUs
        self.pad = self.captioner.config.text_config.pad_token_id
        self.levels = [*(len(v) for v in FIELDS.values()), PHOTO_CLASSES]
        self.from_queries = nn.Linear(QUERIES * 128, sum(self.levels))
        self.from_patches = nn.Linear(128, sum(self.levels))

    def head_loss(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the cross entropy of the fields that rows (B, 10) name, summed over fields; the others are UNKNOWN."""
        parts = zip(logits.float().split(self.levels, 1), rows.unbind(1), strict=True)
        sums = [F.cross_entropy(p, target, ignore_index=UNKNOWN, reduction="sum") for p, target in parts]
        return torch.stack(sums).sum() / len(rows)

    def forward(self, x: torch.Tensor, ids: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, Report]:
        """Return the loss of images x (B, 3, 32, 32), token ids (B, T) and what is known of them, rows (B, 10)."""
        labels = ids.masked_fill(ids == self.pad, -100)
        labels[:, : QUERIES + 1] = -100
        with autocast(x.device.type):
            out = self.captioner(pixel_values=x, input_ids=ids, attention_mask=(ids != self.pad).long())
            queries = self.from_queries(out.qformer_outputs.last_hidden_state.flatten(1))
            patches = self.from_patches(out.vision_outputs.last_hidden_state.mean(1))
        text = F.cross_entropy(out.logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten())
        a, b = self.head_loss(queries, rows), self.head_loss(patches, rows)
        photos = rows[:, -1] != UNKNOWN
        right = ((queries[:, -PHOTO_CLASSES:].argmax(1) == rows[:, -1]) & photos).sum() / photos.sum().clamp(min=1)
        return 3 * text + 0.2 * a + 0.2 * b, {"text": text, "queries": a, "patches": b, "photo_class": right}


def token_ids(captions: list[str], processor: Blip2Processor) -> torch.Tensor:
    """Return (N, QUERIES + 1 + CAPTION_TOKENS) ids: image places, start, caption, end, padding; long captions are cut."""
    tokenizer = processor.tokenizer
    start = [tokenizer.convert_tokens_to_ids("<image>")] * QUERIES + [tokenizer.bos_token_id]
    ids = np.full((len(captions), len(start) + CAPTION_TOKENS), tokenizer.pad_token_id, np.int64)
    ids[:, : len(start)] = start
    for i, text in enumerate(tokenizer(captions, add_special_tokens=False).input_ids):
        text = text[: CAPTION_TOKENS - 1]
        ids[i, len(start) : len(start) + len(text) + 1] = [*text, tokenizer.eos_token_id]
    return torch.from_numpy(ids)


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change contrast and brightness by up to 4 % and add a grain of 0-3 levels, too little to change a word."""
    gain = rng.uniform(0.96, 1.04, (len(images), 1, 1, 3))
    shift = rng.uniform(-6, 6, (len(images), 1, 1, 3))
    grain = rng.normal(0, 1, images.shape) * rng.uniform(0, 3, (len(images), 1, 1, 1))
    return np.clip(images * gain + shift + grain, 0, 255)


class Examples:
    """Draw pictures of the mixture with their captions."""

    def __init__(self, processor: Blip2Processor) -> None:
        """Open what `render` and `photos` have written."""
        self.processor = processor
        self.images, self.rows = (np.load(RUNS / f"{name}.npy", mmap_mode="r") for name in ("images", "rows"))
        self.photos, names, self.captions = load_photos()
        numbers = {name: i for i, name in enumerate(sorted(set(names[:PHOTOGRAPHS])))}
        self.classes = np.array([numbers.get(name, UNKNOWN) for name in names[:PHOTOGRAPHS]])

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` pictures, uint8 (B, 3, 32, 32), ids of their captions and what is known of them (B, 10)."""
        sizes = [len(self.images), PHOTOGRAPHS, len(self.photos) - PHOTOGRAPHS]
        world, photographs, pictograms = split_index(draw_index(rng, count), sizes, SHARES)
        taken = np.concatenate([photographs, PHOTOGRAPHS + pictograms])
        grey = rng.random(len(taken)) < GREY
        texts = [grey_caption(self.captions[i]) if g else self.captions[i] for i, g in zip(taken, grey, strict=True)]
        x = to_model(augment(self.photos[taken], rng))
        x = torch.where(torch.from_numpy(rng.random(len(taken)) < 0.5).view(-1, 1, 1, 1), x.flip(3), x)
        x = torch.where(torch.from_numpy(grey).view(-1, 1, 1, 1), to_grey(x), x)
        known = np.full((count, len(FIELDS) + 1), UNKNOWN, np.int64)
        known[: len(world), :-1] = self.rows[world]
        known[len(world) : len(world) + len(photographs), -1] = self.classes[photographs]
        x = to_bytes(torch.cat([to_model(augment(self.images[world], rng)), x]))
        ids = token_ids([caption(r) for r in self.rows[world]] + texts, self.processor)
        return x, ids, torch.from_numpy(known)


def start_from(learner: Learner, processor: Blip2Processor, folder: Path) -> None:
    """Start from an exported captioner: all weights that fit, and the embeddings of the words that both tokenizers know."""
    before = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    take_over(learner.captioner, before.state_dict())
    old_words = Blip2Processor.from_pretrained(folder).tokenizer.get_vocab()
    tables = [m.language_model.get_input_embeddings() for m in (learner.captioner, before)]
    take_over_words(tables[0], processor.tokenizer.get_vocab(), tables[1].weight, old_words)


def main() -> None:
    """Train on pictures and captions of the mixture."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, batch_size=96, minutes=25, run=RUNS / "captioner")
    parser.add_argument("--start-from", type=Path, help="exported captioner folder whose weights to start from")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    processor = new_processor()
    learner = Learner(processor)
    if options.start_from:
        start_from(learner, processor, options.start_from)
    plan = plan_of(options, learning_rate=2e-3, ema_decay=0.99, muon=True)
    fit(learner, lambda x, ids, known: learner(from_bytes(x), ids, known), Examples(processor).draw, plan)


if __name__ == "__main__":
    main()
