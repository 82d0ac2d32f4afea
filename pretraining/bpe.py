"""Make the two byte-level BPE tokenizers from the texts of the world, the photographs and the pictograms.

Both know every byte, so any foreign text can be read; common words are one token each.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TypeVar

import numpy as np
from transformers import CLIPTokenizer, GPT2Tokenizer, PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from .photos import load_photos
from .prompts import photo_prompt
from .render import RUNS
from .vocabulary import caption, prompt
from .world import sample_rows

PROMPT_TOKENS = 40
"""Context length of the generator's text encoder."""
CAPTION_TOKENS = 19
"""Longest caption with its end token: 17 words of the world, most of a photograph's."""
MERGES = 3000
Word = tuple[str, ...]
Tokenizer = TypeVar("Tokenizer", bound=PreTrainedTokenizerBase)


def learn_merges(counts: Counter[Word], limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` byte-pair merges, most frequent first, until no pair occurs 20 times."""
    words, merges = {word: n for word, n in counts.items() if n >= 8}, []
    for _ in range(limit):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, n in words.items():
            for pair in pairwise(word):
                pairs[pair] += n
        if not pairs or max(pairs.values()) < 20:
            break
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        words = {merge(word, best): n for word, n in words.items()}
    return merges


def merge(word: Word, pair: tuple[str, str]) -> Word:
    """Return the word with every occurrence of the pair joined."""
    out: list[str] = []
    for symbol in word:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return tuple(out)


def texts(count: int = 40_000) -> tuple[list[str], list[str]]:
    """Return captions and prompts of random scenes and of all photographs and pictograms."""
    rng = np.random.default_rng(7)
    rows = sample_rows(count, rng)
    _, names, captions = load_photos()
    prompts = [photo_prompt(n, c, rng) for n, c in zip(names, captions, strict=True)]
    return [caption(r) for r in rows] + captions, [prompt(r, rng) for r in rows] + prompts


def without_origin(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer without the notes on where it was loaded from, which would be saved with it."""
    for note in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(note, None)
    return tokenizer


def clip_tokenizer() -> CLIPTokenizer:
    """Return the generator's tokenizer: lower case, words end in '</w>'; made on first use."""
    folder = RUNS / "prompt_tokenizer"
    if not folder.exists():
        make_clip_tokenizer().save_pretrained(folder)
    return without_origin(CLIPTokenizer.from_pretrained(folder))


def caption_tokenizer() -> GPT2Tokenizer:
    """Return the captioner's tokenizer, in the manner of GPT-2 and OPT; made on first use."""
    folder = RUNS / "caption_tokenizer"
    if not folder.exists():
        make_caption_tokenizer().save_pretrained(folder)
    return without_origin(GPT2Tokenizer.from_pretrained(folder))


def make_clip_tokenizer() -> CLIPTokenizer:
    """Return a tokenizer made from the prompts."""
    start = CLIPTokenizer()
    split, lower = start.backend_tokenizer.pre_tokenizer, start.backend_tokenizer.normalizer
    counts: Counter[Word] = Counter()
    for text in texts()[1]:
        for piece, _ in split.pre_tokenize_str(lower.normalize_str(text)):
            counts[(*piece[:-1], piece[-1] + "</w>")] += 1
    merges = learn_merges(counts, MERGES)
    alphabet = list(bytes_to_unicode().values())
    symbols = ["<|startoftext|>", "<|endoftext|>", *alphabet, *(b + "</w>" for b in alphabet), *("".join(m) for m in merges)]
    vocabulary = {s: i for i, s in enumerate(dict.fromkeys(symbols))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=PROMPT_TOKENS)


def make_caption_tokenizer() -> GPT2Tokenizer:
    """Return a tokenizer made from the captions; '<pad>' is 0, '</s>' begins and ends."""
    counts: Counter[Word] = Counter()
    split = GPT2Tokenizer(
        vocab={"</s>": 0}, merges=[], unk_token="</s>", bos_token="</s>", eos_token="</s>"
    ).backend_tokenizer.pre_tokenizer
    for text in texts()[0]:
        counts.update(tuple(piece) for piece, _ in split.pre_tokenize_str(text))
    merges = learn_merges(counts, MERGES)
    symbols = ["<pad>", "</s>", *bytes_to_unicode().values(), *("".join(m) for m in merges)]
    vocabulary = {s: i for i, s in enumerate(dict.fromkeys(symbols))}
    return GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token="</s>",
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=64,
    )
