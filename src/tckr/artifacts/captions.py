"""The captions of a run: `captions.parquet` and `classes.json`, and their counts in `captions.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tckr.artifacts.document import Document, read_json, write_json
from tckr.data.shards import read_columns, write_shard

MOST_REPEATED = 10


@dataclass(frozen=True, kw_only=True)
class CaptionTable:
    """One caption of each record of a run, in ascending order of the records.

    Attributes:
        records: int64 [n].
        labels: int64 [n].
        texts: n captions, as an array of text or a list.
        class_names: index = label.
    """

    records: np.ndarray
    labels: np.ndarray
    texts: np.ndarray | Sequence[str]
    class_names: Sequence[str]

    @classmethod
    def read(cls, folder: Path) -> CaptionTable:
        """Return the captions of an artifact of `caption`."""
        columns = read_columns(folder, ["record", "label", "caption"])
        names = read_json(folder / "classes.json")
        return cls(records=columns["record"], labels=columns["label"], texts=columns["caption"], class_names=names)

    def write(self, folder: Path) -> None:
        """Write the table and the class names into `folder`."""
        columns = {"record": self.records, "label": self.labels, "caption": self.texts}
        write_shard(folder / "captions.parquet", columns)
        write_json(folder / "classes.json", list(self.class_names))

    def take(self, rows: np.ndarray) -> CaptionTable:
        """Return the captions of some rows, int64 [m]."""
        texts = np.asarray(self.texts, dtype=object)[rows]
        return CaptionTable(records=self.records[rows], labels=self.labels[rows], texts=texts, class_names=self.class_names)


class CaptionCounts(Document):
    """Number and variety of captions.

    Attributes:
        captions: number of captions.
        distinct: number of distinct captions.
        empty: number of class names used where the captioner wrote nothing.
        mean_words: mean length in words.
        median_words: median length in words.
        most_repeated: up to 10 `{"caption": text, "count": n}`, of those that occur at least twice.
    """

    file_name: ClassVar[str] = "captions.json"

    captions: int
    distinct: int
    empty: int
    mean_words: float
    median_words: float
    most_repeated: list[dict[str, str | int]]

    @classmethod
    def of(cls, texts: Sequence[str], num_empty: int) -> CaptionCounts:
        """Return the counts of N captions, of which `num_empty` are class names used instead."""
        counts, words = Counter(texts), [len(text.split()) for text in texts]
        return cls(
            captions=len(texts),
            distinct=len(counts),
            empty=num_empty,
            mean_words=round(float(np.mean(words)), 2),
            median_words=float(np.median(words)),
            most_repeated=[{"caption": text, "count": n} for text, n in counts.most_common(MOST_REPEATED) if n > 1],
        )
