"""BLIP and BLIP-2 checkpoints behind the `Captioner` protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class BlipCaptioner:
    """Caption with `BlipForConditionalGeneration` or `Blip2ForConditionalGeneration`."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model.eval()
        self.processor = processor

    @torch.inference_mode()
    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        """Return one greedy caption per image of uint8 [B, H, W, 3]."""
        text = {"text": [prompt] * len(images)} if prompt else {}
        inputs = self.processor(images=list(images), return_tensors="pt", **text)
        # BatchFeature.to casts floating tensors only: token ids stay integers.
        tokens = self.model.generate(
            **inputs.to(self.model.device, self.model.dtype), max_new_tokens=max_new_tokens, do_sample=False, num_beams=1
        )
        texts = self.processor.batch_decode(tokens, skip_special_tokens=True)
        return [_after(prompt, text.strip()) for text in texts]


def _after(prompt: str, text: str) -> str:
    """Return `text` without the `prompt` that decoder-only language models repeat."""
    return text.removeprefix(prompt.strip()).strip()
