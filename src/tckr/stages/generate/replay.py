"""The audit's planted memorizer: a generator that draws the very images it was shown. Knows no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tckr.data.images import ImageSet, encode_png
from tckr.models.diffusion.prompts import PromptForm, build_prompt


def replayed_shards(
    pool: ImageSet,
    captions: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    *,
    prompt_form: PromptForm,
    descriptions: Mapping[str, str],
    shard_size: int,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file name and the columns of each shard: every captioned image once, with its own prompt.

    Args:
        pool: all images.
        captions: columns record, label and caption (n each) of the images to replay.
        class_names: index = label.
        prompt_form: as for `build_prompt`.
        descriptions: as for `build_prompt`.
        shard_size: images per shard.
    """
    records, labels, texts = (captions[name] for name in ("record", "label", "caption"))
    rows = pool.rows_of(records)
    count = -(-len(rows) // shard_size)
    for shard in range(count):
        part = slice(shard * shard_size, (shard + 1) * shard_size)
        prompts = [
            build_prompt(prompt_form, class_names[label], text, descriptions)
            for label, text in zip(labels[part], texts[part], strict=True)
        ]
        columns = {
            "image": [encode_png(pool.images[row]) for row in rows[part]],
            "label": labels[part].astype(np.int64),
            "prompt": prompts,
            "seed": np.zeros(len(prompts), dtype=np.int64),
            "index": np.arange(part.start, part.start + len(prompts), dtype=np.int64),
        }
        yield f"train-{shard:05d}-of-{count:05d}.parquet", columns
