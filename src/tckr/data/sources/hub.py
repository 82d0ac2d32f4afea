"""Read a Hugging Face data set: from the hub, from a folder its loaders understand, or written by `save_to_disk`.

No data set code is ever run (`datasets` no longer can) and nothing is unpickled: only Arrow and Parquet are read. A path
in a table is opened only if it is in the source's own folder or in the download caches: a table from elsewhere must not
choose which local files are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub.constants import HF_HUB_CACHE

from tckr.data.groups import Grouping
from tckr.data.layouts.columns import NoClassError, refuse_unclassed
from tckr.data.layouts.description import Layout, LayoutPart, LeftOut, merge_counts
from tckr.data.layouts.names import use_of
from tckr.data.sources.classes import join_classes
from tckr.data.sources.columns import caption_column, choose_columns, require_group_column
from tckr.data.sources.files import read_file
from tckr.data.sources.parquet import row_record
from tckr.data.sources.record import TEST, TRAIN, SourceRecord, printable
from tckr.errors import UserError

READ_BATCH = 64
COUNT_BATCH = 10_000


class HubSource:
    """The rows of one training split, then those of the test split if there is one."""

    def __init__(
        self,
        source: str,
        *,
        saved: bool,
        image_column: str,
        label_column: str,
        train_split: str,
        test_split: str,
        max_file_bytes: int,
        cache: Path,
        grouping: Grouping,
    ) -> None:
        """Download or open the data set; `saved`: it was written by `save_to_disk`; other arguments as in `open_source`.

        Raises:
            UserError: the data set cannot be loaded, or lacks the split or the columns.
        """
        self.name = Path(source.partition("@")[0]).name
        self._max_file_bytes = max_file_bytes
        splits = _load(source, saved, train_split, cache)
        roots = (Path(source).expanduser(), Path(datasets.config.HF_DATASETS_CACHE), Path(HF_HUB_CACHE), cache)
        self._roots = [root.resolve() for root in roots if root.exists()]
        if train_split not in splits:
            raise UserError(
                f"{source} has the splits {', '.join(splits)}; prepare.hub_split={train_split} is not one of them. "
                "Name one of them."
            )
        train = splits[train_split]
        self._image, self._label = choose_columns(_kinds(train.features), image_column, label_column)
        self._grouping = require_group_column(grouping, train.features)
        self._caption = caption_column(_kinds(train.features), (self._image, self._label))
        uses = {name: use for name in splits if (use := _use(name, splits, train_split, test_split))}
        self._refuse_unlabelled(source, splits, uses)
        self._parts = [
            (name, uses[name], self._plain(splits[name])) for name in sorted(uses, key=lambda name: uses[name] == TEST)
        ]
        used = {name for name, _, _ in self._parts}
        self._problems = [
            SourceRecord(file=name, reason="split_not_used", detail=f"{len(split)} rows")
            for name, split in splits.items()
            if name not in used
        ]
        counts = [_count(split, self._label) for _, _, split in self._parts]
        try:
            refuse_unclassed(self._label, sum(counts, Counter()))
        except NoClassError as error:
            raise UserError(f"{source}: {error}") from None
        names = [_names(split.features[self._label]) for _, _, split in self._parts]
        self.class_names, self._indices = join_classes(names, counts)
        self._counts = {
            part[0]: Counter({index[value]: number for value, number in found.items() if value in index})
            for part, found, index in zip(self._parts, counts, self._indices, strict=True)
        }
        self._kind = "Hugging Face data set" + (" written by save_to_disk" if saved else "")

    @property
    def layout(self) -> Layout:
        """Return how the data set was understood."""
        return Layout(
            kind=self._kind,
            labels_from=f"column {self._label!r}; images from column {self._image!r}",
            parts=[LayoutPart(name=name, use=use, images=len(split)) for name, use, split in self._parts],
            classes=merge_counts([printable(name) for name in self.class_names], self._counts),
            **self._grouping.counted(self._group_cells()),
            captions=f"column {self._caption!r}; caption.from_source=true uses them" if self._caption else "",
            left_out=[LeftOut(what=f"split {record.file}", count=1, why=record.detail) for record in self._problems],
        )

    def _group_cells(self) -> Iterator[Any]:
        for _, _, split in self._parts:
            yield from split.unique(self._grouping.column)

    def __len__(self) -> int:
        """Return the number of rows and of unused splits."""
        return sum(len(split) for _, _, split in self._parts) + len(self._problems)

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield one record per row, then one per unused split."""
        for (name, origin, split), index in zip(self._parts, self._indices, strict=True):
            for begin in range(start, len(split), READ_BATCH):
                batch = split[begin : begin + READ_BATCH]
                none = [None] * len(batch[self._label])
                groups, texts = (batch.get(column, none) for column in (self._grouping.column, self._caption))
                rows = zip(batch[self._image], batch[self._label], groups, texts, strict=True)
                for offset, (image, label, group, text) in enumerate(rows):
                    record = self._record(f"{name}#{begin + offset}", origin, image, label, index)
                    yield self._grouping.assign(replace(record, caption=text), group)
            start = max(0, start - len(split))
        yield from self._problems[start:]

    def _record(self, file: str, origin: str, image: Any, label: Any, index: Mapping[Any, int]) -> SourceRecord:
        path = image.get("path") if isinstance(image, dict) and image.get("bytes") is None else None
        if not path or not self._may_open(Path(path)):
            return row_record(file, origin, image, label, index)
        data, reason, detail = read_file(path, self._max_file_bytes)
        record = row_record(f"{file} {Path(path).name}", origin, data, label, index)
        if record.reason or not reason:
            return record
        return SourceRecord(file=record.file, origin=origin, label=record.label, reason=reason, detail=detail)

    def _may_open(self, path: Path) -> bool:
        try:
            return path.is_absolute() and any(path.resolve().is_relative_to(root) for root in self._roots)
        except (OSError, RuntimeError, ValueError):  # a loop of links, or a NUL in the path
            return False

    def _plain(self, split: datasets.Dataset) -> datasets.Dataset:
        kept = self._grouping.columns(self._image, self._label, self._caption)
        plain = split.with_format(None).select_columns([name for name in kept if name in split.features])
        if isinstance(split.features[self._image], datasets.Image):
            plain = plain.cast_column(self._image, datasets.Image(decode=False))
        return plain

    def _refuse_unlabelled(self, source: str, splits: dict[str, datasets.Dataset], uses: dict[str, str]) -> None:
        """Raise if the test split lacks the columns, or if none of its rows has a label."""
        for name in uses:
            found = splits[name].features
            needed = self._grouping.columns(self._image, self._label)
            lacking = [column for column in needed if column not in found]
            if not lacking and uses[name] == TEST and not _labelled(splits[name], self._label):
                lacking = [self._label]
            if lacking:
                raise UserError(
                    f"the split {name!r} of {source} has no labels that can be read: expected the columns {self._image!r} "
                    f"and {self._label!r} as in the training split; found {', '.join(found)}. Add labels to it; or set "
                    "prepare.test_split= (empty): then it is left out and a test split is sampled from the others."
                )


def _use(name: str, splits: Mapping[str, Any], train_split: str, test_split: str) -> str | None:
    """Return how a split is used, `train` or `test`; None if it is not read."""
    if name == train_split:
        return TRAIN
    exact = test_split in splits and test_split != train_split
    alike = not exact and use_of(name, test_split) == TEST
    return TEST if (name == test_split or alike) else None


def _labelled(split: datasets.Dataset, label: str) -> bool:
    return not len(split) or any(
        isinstance(value, str) or value >= 0 for value in split.unique(label) if value is not None and value == value
    )


def _names(feature: Any) -> list[str]:
    return list(feature.names) if isinstance(feature, datasets.ClassLabel) and feature.names else []


def _count(split: datasets.Dataset, label: str) -> Counter[Any]:
    """Return value of the label column -> number of rows."""
    counts: Counter[Any] = Counter()
    for batch in split.select_columns([label]).iter(COUNT_BATCH):
        counts.update(value for value in batch[label] if value is not None and value == value)
    return counts


def _load(source: str, saved: bool, train_split: str, cache: Path) -> dict[str, datasets.Dataset]:
    try:
        with _without_bars():
            loaded = datasets.load_from_disk(str(Path(source).expanduser())) if saved else _load_by_name(source, cache)
    except Exception as error:  # the loaders raise anything, from ConnectionError to ValueError
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        missing = "" if Path(source).expanduser().exists() else f"There is no folder or file {source} here. "
        raise UserError(
            f"the data set {source!r} could not be loaded: {reason}. {missing}Expected owner/name of a data set or a folder "
            "that `datasets` can open. Check the name and the connection, or save it as Parquet."
        ) from error
    return dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {train_split: loaded}


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep `datasets` from printing its own progress bars, several for each file, between TCKR's lines."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _load_by_name(source: str, cache: Path) -> Any:
    """Load a folder through `cache`: the cache of `datasets` would keep private images, and outdated labels."""
    path = Path(source).expanduser()
    if path.exists():
        return datasets.load_dataset(str(path), cache_dir=str(cache))
    name, _, revision = source.partition("@")
    return datasets.load_dataset(name, revision=revision or None)


def _kinds(features: datasets.Features) -> dict[str, str]:
    return {name: _kind(feature) for name, feature in features.items()}


def _kind(feature: Any) -> str:
    if isinstance(feature, datasets.Image):
        return "image"
    if isinstance(feature, datasets.ClassLabel):
        return "class label"
    dtype = str(getattr(feature, "dtype", type(feature).__name__))
    if dtype.startswith(("int", "uint")):
        return "integer"
    if dtype.startswith("float"):
        return "floating point"
    return {"string": "text", "large_string": "text", "bool": "boolean", "large_binary": "binary"}.get(dtype, dtype)
