"""Batches cover the requested records in order; a text is tidy and never empty."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.data.images import ImageSet
from tckr.stages.caption.captions import caption_batches, tidy


class EchoCaptioner:
    """Say which pixel value fills an image, in untidy text; nothing for value 7."""

    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        values = images[:, 0, 0, 0].tolist()
        return ["" if value == 7 else f" {prompt}  value\n{value} {max_new_tokens} " for value in values]


@pytest.mark.parametrize(("text", "expected"), [("  a\tsmall \n cat ", "a small cat"), ("\n \t", ""), ("cat", "cat")])
def test_tidy(text: str, expected: str) -> None:
    assert tidy(text) == expected


def test_batches_caption_the_requested_records() -> None:
    values = np.arange(10, dtype=np.uint8)
    pool = ImageSet(np.tile(values[:, None, None, None], (1, 2, 2, 3)), np.arange(10) % 2, 100 + np.arange(10))
    records = np.array([109, 101, 107, 103, 104])
    batches = list(
        caption_batches(EchoCaptioner(), pool, records, ["even", "odd"], batch_size=2, max_new_tokens=9, prompt="see")
    )
    assert [len(batch.texts) for batch in batches] == [2, 2, 1]
    assert np.concatenate([batch.records for batch in batches]).tolist() == records.tolist()
    texts = [text for batch in batches for text in batch.texts]
    assert texts == ["see value 9 9", "see value 1 9", "odd", "see value 3 9", "see value 4 9"]
    assert np.concatenate([batch.was_empty for batch in batches]).tolist() == [False, False, True, False, False]
