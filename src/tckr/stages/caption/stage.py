"""Read the records of a run, caption them or take given captions, write captions.parquet and related files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tckr.artifacts.captions import CaptionCounts, CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_labels, read_members, split_of
from tckr.data.caption_files import read_captions
from tckr.data.images import load_images
from tckr.data.own_captions import read_own_captions
from tckr.data.shards import list_shards, read_columns, write_shard
from tckr.data.source_rows import read_source_rows
from tckr.engine.step import StepContext
from tckr.models.captioners.load import load_captioner
from tckr.stages.caption.captions import CaptionBatch, given_captions
from tckr.stages.caption.config import CaptionConfig, UncaptionedConfig
from tckr.stages.caption.describe import CaptionRecipe, Describer, describe_records

PART_BATCHES = 16  # batches whose captions a kill may lose

MIN_BATCHES_PER_WORKER = 4
"""A worker on another machine needs seconds to start and to load the captioner."""


def run(config: CaptionConfig, context: StepContext) -> None:
    """Caption the members of `context.run`; hold-out records are never captioned for a pipeline.

    Writes captions.parquet, classes.json, and counts into captions.json. The log contains no text of a caption.
    """
    data, parts = context.inputs["data"], context.scratch / "parts"
    class_names = DataCard.read(data).class_names
    members = read_members(data, context.run)
    if config.file or config.from_source:
        _write_part(parts / "part-file.parquet", [_take(config, context, class_names, members)])
    else:
        _caption_members(config, context, class_names, members)
    columns = read_columns(parts, ["record", "label", "caption", "was_empty"])
    assert np.array_equal(np.sort(columns["record"]), members)
    num_empty = int(columns.pop("was_empty").sum())
    if num_empty:
        context.log("warning", message=f"{num_empty} of {len(members)} captions were empty; the class name is used instead")
    counts = CaptionCounts.of(columns["caption"].tolist(), num_empty)
    context.log("captioned", **counts.model_dump(exclude={"most_repeated"}))
    table = CaptionTable(
        records=columns["record"], labels=columns["label"], texts=columns["caption"], class_names=class_names
    )
    table.take(np.argsort(columns["record"])).write(context.out)
    counts.write(context.out)


def run_of_class_names(config: UncaptionedConfig, context: StepContext) -> None:
    """Write the class name of each member instead of a caption, without reading an image: no prompt contains captions."""
    data = context.inputs["data"]
    names, members = DataCard.read(data).class_names, read_members(data, context.run)
    label_of = read_labels(data, context.run)
    with context.track(len(members), "images") as advance:
        labels = np.array([label_of[record] for record in members.tolist()], dtype=np.int64)
        texts = [names[label] for label in labels]
        CaptionTable(records=members, labels=labels, texts=texts, class_names=names).write(context.out)
        CaptionCounts.of(texts, num_empty=0).write(context.out)
        advance(len(members))


def _take(config: CaptionConfig, context: StepContext, class_names: Sequence[str], members: np.ndarray) -> CaptionBatch:
    """Return the captions of `members` (int64 [n], ascending records) from the file or the data set."""
    data = context.inputs["data"]
    text_of = read_own_captions(data) if config.from_source else _of_file(config, data)
    label_of = read_labels(data, context.run)
    labels = np.array([label_of[record] for record in members.tolist()], dtype=np.int64)
    texts = [text_of.get(record) for record in members.tolist()]
    return given_captions(members, labels, texts, class_names, from_source=config.from_source)


def _of_file(config: CaptionConfig, data: Path) -> Mapping[int, str | None]:
    rows = read_source_rows(data)
    texts = read_captions(Path(config.file), rows.class_names, config.class_names)
    # rejected rows share one number, which is not that of a member
    return dict(zip(rows.records.tolist(), texts, strict=True))


def _caption_members(config: CaptionConfig, context: StepContext, class_names: Sequence[str], members: np.ndarray) -> None:
    """Caption those of `members` (int64 [n], records) that are missing in the parts found in the scratch folder."""
    parts = context.scratch / "parts"
    finished = read_columns(parts, ["record"])["record"] if list_shards(parts) else np.array([], dtype=np.int64)
    pending = members[~np.isin(members, finished)]
    if len(pending):
        with context.track(len(members), "images", len(finished)) as advance:
            _caption_parts(config, context, class_names, pending, advance)


def _caption_parts(
    config: CaptionConfig,
    context: StepContext,
    class_names: Sequence[str],
    pending: np.ndarray,
    advance: Callable[[int], None],
) -> None:
    """Caption `pending` (int64 [n], records) and write a part after every `PART_BATCHES` batches."""
    batches: list[CaptionBatch] = []
    for batch in _captioned(config, context, class_names, pending):
        batches.append(batch)
        advance(len(batch.texts))
        if len(batches) == PART_BATCHES:
            _write_part(context.scratch / "parts" / f"part-{batches[0].records[0]:012d}.parquet", batches)
            batches = []
    if batches:
        _write_part(context.scratch / "parts" / f"part-{batches[0].records[0]:012d}.parquet", batches)


def _captioned(
    config: CaptionConfig, context: StepContext, class_names: Sequence[str], pending: np.ndarray
) -> Iterator[CaptionBatch]:
    """Yield the captions of `pending` (int64 [n], records): in order, or as other machines finish their batches."""
    size, device = context.execution.inference_batch_size, context.execution.torch_device()
    asked = [pending[start : start + size] for start in range(0, len(pending), size)]
    recipe = CaptionRecipe(
        model=config.model,
        revision=config.revision,
        device=device,
        pool=context.inputs["data"] / split_of(context.run),
        cache=context.scratch,
        class_names=tuple(class_names),
        max_new_tokens=config.max_new_tokens,
        prompt=config.prompt,
    )
    num_workers = context.execution.num_workers(max(1, len(asked) // MIN_BATCHES_PER_WORKER))
    if context.spread is None or num_workers == 1:
        captioner = load_captioner(config.model, device, revision=config.revision)
        describer = Describer(captioner, recipe)
        yield from map(describer.describe, asked)
    else:
        load_images(recipe.pool, recipe.cache)  # here: the others find the decoded images
        yield from context.spread(partial(describe_records, recipe=recipe), asked, num_workers)


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
