"""Caption records in batches and clean up the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tckr.data.images import ImageSet
from tckr.errors import UserError
from tckr.models.captioners.captioner import Captioner


@dataclass(frozen=True, kw_only=True)
class CaptionBatch:
    """Captions of a few records.

    Attributes:
        records: int64 [B].
        labels: int64 [B].
        texts: B clean captions, none of them empty.
        was_empty: bool [B], whether the captioner wrote nothing, so that the class name is used.
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
        yield _batch(pool.ids[batch], labels, texts, class_names)


def given_captions(
    records: np.ndarray, labels: np.ndarray, texts: Sequence[str | None], class_names: Sequence[str], *, from_source: bool
) -> CaptionBatch:
    """Return given captions (B texts, None if missing) of `records`, int64 [B], with `labels`, as one batch.

    Raises:
        UserError: a record has no caption.
    """
    origin, setting = ("the data set", "caption.from_source") if from_source else ("caption.file",) * 2
    missing = [position for position, text in enumerate(texts) if text is None]
    if missing:
        raise UserError(
            f"{origin} has no caption for {len(missing):,} of {len(texts):,} images that this step needs; the first is "
            f"of class {class_names[labels[missing[0]]]!r}. An export of a run contains only the images "
            f"that it captioned; add the others, or remove {setting}"
        )
    return _batch(records, labels, [tidy(text or "") for text in texts], class_names)


def _batch(records: np.ndarray, labels: np.ndarray, texts: Sequence[str], class_names: Sequence[str]) -> CaptionBatch:
    return CaptionBatch(
        records=records,
        labels=labels,
        texts=[text or class_names[label] for text, label in zip(texts, labels, strict=True)],
        was_empty=np.array([not text for text in texts], dtype=np.bool_),
    )


def tidy(text: str) -> str:
    """Return `text` on one line with single spaces."""
    return " ".join(text.split())
