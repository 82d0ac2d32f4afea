"""What the caption stage needs from a captioner; knows no library."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Captioner(Protocol):
    """Say in words what images show."""

    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        """Return one caption per image of uint8 [B, H, W, 3].

        The text is what the model wrote after `prompt`, greedily decoded, with its special tokens removed.
        """
        ...
