"""BLIP and BLIP-2 checkpoints as `Captioner`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tckr.models.captioners.greedy import decode_greedily_by_default, generate_tokens


class BlipCaptioner:
    """Caption with `BlipForConditionalGeneration` or `Blip2ForConditionalGeneration`; `prompt` is text to continue."""

    def __init__(self, model: Any, processor: Any) -> None:
        decode_greedily_by_default(model, processor.tokenizer.pad_token_id)
        self.model = model
        self.processor = processor

    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        """Return one greedy caption per image of uint8 [B, H, W, 3]."""
        text = {"text": [prompt] * len(images)} if prompt else {}
        inputs = self.processor(images=list(images), return_tensors="pt", **text)
        tokens = generate_tokens(self.model, inputs, max_new_tokens)
        texts = self.processor.batch_decode(tokens, skip_special_tokens=True)
        return [_after(prompt, text.strip()) for text in texts]


def _after(prompt: str, text: str) -> str:
    """Return `text` without the `prompt` that language models repeat, which BLIP writes in lower case."""
    prompt = prompt.strip()
    return text[len(prompt) :].strip() if text.lower().startswith(prompt.lower()) else text
