"""Make the two byte-level BPE tokenizers from the world's own texts.

Both know every byte, so any foreign text can be read; the words of the world are one token each.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from transformers import CLIPTokenizer, GPT2Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from .vocabulary import caption, prompt
from .world import sample_rows

PROMPT_TOKENS = 40
"""Context length of the generator's text encoder."""
CAPTION_TOKENS = 19
"""Longest caption with its end token: 17 words, 'gray'-like words of one token each, one to spare."""
Word = tuple[str, ...]


def learn_merges(counts: Counter[Word], limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` byte-pair merges, most frequent first, until no pair occurs 20 times."""
    words, merges = dict(counts), []
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
    """Return captions and prompts of random scenes."""
    rng = np.random.default_rng(7)
    rows = sample_rows(count, rng)
    return [caption(r) for r in rows], [prompt(r, rng) for r in rows]


def clip_tokenizer() -> CLIPTokenizer:
    """Return the generator's tokenizer: lower case, words end in '</w>'."""
    start = CLIPTokenizer()
    split, lower = start.backend_tokenizer.pre_tokenizer, start.backend_tokenizer.normalizer
    counts: Counter[Word] = Counter()
    for text in texts()[1]:
        for piece, _ in split.pre_tokenize_str(lower.normalize_str(text)):
            counts[(*piece[:-1], piece[-1] + "</w>")] += 1
    merges = learn_merges(counts, 600)
    alphabet = list(bytes_to_unicode().values())
    symbols = ["<|startoftext|>", "<|endoftext|>", *alphabet, *(b + "</w>" for b in alphabet), *("".join(m) for m in merges)]
    vocabulary = {s: i for i, s in enumerate(dict.fromkeys(symbols))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=PROMPT_TOKENS)


def caption_tokenizer() -> GPT2Tokenizer:
    """Return the captioner's tokenizer, in the manner of GPT-2 and OPT; '<pad>' is 0, '</s>' begins and ends."""
    counts: Counter[Word] = Counter()
    split = GPT2Tokenizer(
        vocab={"</s>": 0}, merges=[], unk_token="</s>", bos_token="</s>", eos_token="</s>"
    ).backend_tokenizer.pre_tokenizer
    for text in texts()[0]:
        counts.update(tuple(piece) for piece, _ in split.pre_tokenize_str(text))
    merges = learn_merges(counts, 600)
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
