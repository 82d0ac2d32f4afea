"""Florence-2 checkpoints as `Captioner`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tckr.errors import UserError, shown
from tckr.models.captioners.greedy import decode_greedily_by_default, generate_tokens

TASKS = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")
"""The tasks that produce a caption; the first one is the default."""


class FlorenceCaptioner:
    """Caption with `Florence2ForConditionalGeneration`; `prompt` is one of `TASKS`, empty for the first."""

    def __init__(self, model: Any, processor: Any) -> None:
        decode_greedily_by_default(model, processor.tokenizer.pad_token_id)
        self.model = model
        self.processor = processor

    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        """Return one greedy caption per image of uint8 [B, H, W, 3].

        Raises:
            UserError: `prompt` is not a captioning task.
        """
        task = prompt or TASKS[0]
        if task not in TASKS:
            raise UserError(
                f"found caption.prompt {shown(prompt)}; Florence-2 has the tasks {', '.join(TASKS)}; use one of them, or "
                f"leave caption.prompt empty for {TASKS[0]}"
            )
        inputs = self.processor(images=list(images), text=[task] * len(images), return_tensors="pt")
        tokens = generate_tokens(self.model, inputs, max_new_tokens)
        return [text.strip() for text in self.processor.batch_decode(tokens, skip_special_tokens=True)]
