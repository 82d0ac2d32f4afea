"""Say what a photograph or pictogram shows, in the forms that TCKR uses and as its pixels were varied."""

from __future__ import annotations

import numpy as np

from .vocabulary import pseudo_word


def photo_prompt(name: str, caption: str, rng: np.random.Generator) -> str:
    """Return one training prompt of a picture.

    50 % 'class: caption' (a tenth of them with a made-up class), 22 % the caption, 18 % the class, 10 % nothing (for
    classifier-free guidance).
    """
    form = rng.random()
    if form < 0.10:
        return ""
    if form < 0.28:
        return name if rng.random() < 0.5 else f"a photo of {'an' if name[0] in 'aeiou' else 'a'} {name}"
    if form < 0.50:
        return caption
    return f"{pseudo_word(rng) if form < 0.55 else name}: {caption}"


def grey_caption(caption: str) -> str:
    """Return the caption of the grey version of a picture."""
    return f"a black and white photo of {caption}"
