"""Caption records in batches and tidy the text; knows neither paths nor the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tckr.data.images import ImageSet
from tckr.models.captioners.captioner import Captioner


@dataclass(frozen=True, kw_only=True)
class CaptionBatch:
    """Captions of a few records.

    Attributes:
        records: int64 [B].
        labels: int64 [B].
        texts: B tidy captions, none of them empty.
        was_empty: bool [B], whether the captioner wrote nothing and the class name stands in.
    """

    records: np.ndarray
    labels: np.ndarray
    texts: list[str]
    was_empty: np.ndarray


def caption_batches(
    captioner: Captioner,
    pool: ImageSet,
    records: np.ndarray,
    class_names: Sequence[str],
    *,
    batch_size: int,
    max_new_tokens: int,
    prompt: str,
) -> Iterator[CaptionBatch]:
    """Yield the captions of `records` (int64 [n], ids of `pool`) in their order, one batch at a time."""
    rows = pool.rows_of(records)
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        labels = pool.labels[batch]
        texts = [tidy(text) for text in captioner.caption(pool.images[batch], max_new_tokens, prompt)]
        yield CaptionBatch(
            records=pool.ids[batch],
            labels=labels,
            texts=[text or class_names[label] for text, label in zip(texts, labels, strict=True)],
            was_empty=np.array([not text for text in texts]),
        )


def tidy(text: str) -> str:
    """Return `text` on one line with single spaces."""
    return " ".join(text.split())
