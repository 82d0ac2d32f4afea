"""Caption batches of records, in this process or in others; each process loads the captioner once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tckr.data.images import load_images
from tckr.models.captioners.captioner import Captioner
from tckr.models.captioners.load import load_captioner
from tckr.stages.caption.captions import CaptionBatch, caption_batches


@dataclass(frozen=True, kw_only=True)
class CaptionRecipe:
    """Everything that a process needs to write captions, so that all processes write the same ones.

    Attributes:
        model: for `load_captioner`.
        revision: for `load_captioner`.
        device: torch device name.
        pool: folder of the images.
        cache: folder of the decoded images.
        class_names: index = label.
        max_new_tokens: longest caption.
        prompt: for the captioner.
    """

    model: str
    revision: str | None
    device: str
    pool: Path
    cache: Path
    class_names: tuple[str, ...]
    max_new_tokens: int
    prompt: str


class Describer:
    """A captioner and the pool of images that it describes."""

    def __init__(self, captioner: Captioner, recipe: CaptionRecipe) -> None:
        self._captioner, self._recipe = captioner, recipe
        self._pool = load_images(recipe.pool, recipe.cache)

    def describe(self, records: np.ndarray) -> CaptionBatch:
        """Return the captions of one batch, int64 [B], record numbers."""
        (batch,) = caption_batches(
            self._captioner,
            self._pool,
            records,
            self._recipe.class_names,
            batch_size=len(records),
            max_new_tokens=self._recipe.max_new_tokens,
            prompt=self._recipe.prompt,
        )
        return batch


def describe_records(records: np.ndarray, *, recipe: CaptionRecipe) -> CaptionBatch:
    """Return the captions of one batch; a process loads the captioner only once."""
    return _loaded(recipe).describe(records)


@lru_cache(maxsize=1)
def _loaded(recipe: CaptionRecipe) -> Describer:
    return Describer(load_captioner(recipe.model, recipe.device, revision=recipe.revision), recipe)
