"""Interface of a captioner for the stage `caption`."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Captioner(Protocol):
    """Describe images in text."""

    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        """Return one caption per image of uint8 [B, H, W, 3].

        The caption is the text after `prompt`, decoded greedily, without special tokens.
        """
        ...
