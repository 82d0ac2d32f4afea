"""The memorizing generator of the audit's positive control: its output is exactly its training images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tckr.artifacts.adapter_card import AdapterCard
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.synthetic import SyntheticRows, shards
from tckr.data.images import ImageSet, encode_png
from tckr.models.diffusion.prompts import build_prompt


def replayed_shards(
    pool: ImageSet, captions: CaptionTable, adapter: AdapterCard, shard_size: int
) -> Iterator[tuple[str, SyntheticRows]]:
    """Yield the file name and the rows of each shard: every captioned image once, with its own prompt.

    Args:
        pool: all images.
        captions: of the images to replay.
        adapter: gives the form of the prompts.
        shard_size: images per shard.
    """
    pool_rows = pool.rows_of(captions.records)
    for name, indices in shards(len(pool_rows), shard_size):
        labels = captions.labels[indices]
        prompts = [
            build_prompt(adapter.prompt_form, captions.class_names[label], text, adapter.descriptions)
            for label, text in zip(labels, captions.texts[indices.start : indices.stop], strict=True)
        ]
        yield (
            name,
            SyntheticRows(
                images=[encode_png(pool.images[row]) for row in pool_rows[indices]],
                labels=labels,
                prompts=prompts,
                seeds=np.zeros(len(indices), dtype=np.int64),
                indices=indices,
            ),
        )
