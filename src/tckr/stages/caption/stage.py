"""Read the records of a run, caption them, write captions.parquet and classes.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tckr.data.card import read_card, read_members, split_of
from tckr.data.images import load_images
from tckr.data.shards import list_shards, read_columns, write_shard, write_whole
from tckr.engine.step import StepContext
from tckr.models.captioners.load import load_captioner
from tckr.stages.caption.captions import CaptionBatch, caption_batches
from tckr.stages.caption.config import CaptionConfig

PART_BATCHES = 16  # batches whose captions a kill may lose


def run(config: CaptionConfig, context: StepContext) -> None:
    """Caption the members of `context.run`; the captions of a pipeline never come from its hold-out records."""
    data, parts = context.inputs["data"], context.scratch / "parts"
    class_names = read_card(data).class_names
    members = read_members(data, context.run)
    finished = read_columns(parts, ["record"])["record"] if list_shards(parts) else np.array([], dtype=np.int64)
    pending = members[~np.isin(members, finished)]
    if len(pending):
        with context.track(len(members), "images", len(finished)) as advance:
            _caption_parts(config, context, class_names, pending, advance)
    columns = read_columns(parts, ["record", "label", "caption", "was_empty"])
    assert np.array_equal(np.sort(columns["record"]), members)
    num_empty = int(columns.pop("was_empty").sum())
    if num_empty:
        context.log("warning", message=f"{num_empty} of {len(members)} captions were empty; the class name stands in")
    context.log("captioned", images=len(members), empty=num_empty)
    order = np.argsort(columns["record"])
    write_shard(context.out / "captions.parquet", {name: values[order] for name, values in columns.items()})
    write_whole(context.out / "classes.json", lambda partial: partial.write_text(json.dumps(class_names), encoding="utf-8"))


def _caption_parts(
    config: CaptionConfig,
    context: StepContext,
    class_names: Sequence[str],
    pending: np.ndarray,
    advance: Callable[[int], None],
) -> None:
    """Caption `pending` (int64 [n], records) and write a part after every `PART_BATCHES` batches."""
    captioner = load_captioner(config.model, context.execution.torch_device(), revision=config.revision)
    pool = load_images(context.inputs["data"] / split_of(context.run), context.scratch)
    batch_size = context.execution.inference_batch_size
    for start in range(0, len(pending), PART_BATCHES * batch_size):
        records = pending[start : start + PART_BATCHES * batch_size]
        batches = []
        for batch in caption_batches(
            captioner,
            pool,
            records,
            class_names,
            batch_size=batch_size,
            max_new_tokens=config.max_new_tokens,
            prompt=config.prompt,
        ):
            batches.append(batch)
            advance(len(batch.texts))
        _write_part(context.scratch / "parts" / f"part-{records[0]:012d}.parquet", batches)


def _write_part(path: Path, batches: list[CaptionBatch]) -> None:
    write_shard(
        path,
        {
            "record": np.concatenate([batch.records for batch in batches]),
            "label": np.concatenate([batch.labels for batch in batches]),
            "caption": [text for batch in batches for text in batch.texts],
            "was_empty": np.concatenate([batch.was_empty for batch in batches]),
        },
    )
