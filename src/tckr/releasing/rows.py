"""The synthetic images of a release with their labels, in an order that says nothing of how they were made.

The order is that of the SHA-256 of the marked pictures: whoever has the pictures can compute it, so it tells nothing, and it
is the same whenever the release is made again. The order of generation, which follows the members, is nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from tckr.artifacts.soft_labels import labels_as_they_are
from tckr.artifacts.synthetic import synthetic_class_names, synthetic_column, synthetic_shards
from tckr.data.encoded import EncodedImages, write_encoded
from tckr.data.shards import ROW_GROUP_RECORDS
from tckr.releasing.marking import mark_png


class Row(NamedTuple):
    """One image of a release.

    Attributes:
        number: its place in the release.
        png: the marked picture.
        label: class.
        soft_label: float32 [k], the Teacher's probabilities; None where labels are not released.
        soft_label_class: int [k], their classes; None where all are given in the order of the classes.
    """

    number: int
    png: bytes
    label: int
    soft_label: np.ndarray | None
    soft_label_class: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All images of a release.

    Attributes:
        class_names: index = label.
        labels: int64 [N].
        pngs: N marked pictures, as bytes.
        soft_labels: float16 [N, k]; None where they are not released.
        soft_label_classes: int [N, k]; None as for a row.
    """

    class_names: list[str]
    labels: np.ndarray
    pngs: EncodedImages
    soft_labels: np.ndarray | None
    soft_label_classes: np.ndarray | None

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)

    def __iter__(self) -> Iterator[Row]:
        """Yield the images in the order of the release, holding one."""
        for number in range(len(self)):
            yield Row(
                number,
                self.pngs[number].tobytes(),
                int(self.labels[number]),
                None if self.soft_labels is None else self.soft_labels[number].astype(np.float32),
                None if self.soft_label_classes is None else self.soft_label_classes[number],
            )

    def counts(self) -> dict[str, int]:
        """Return class name -> number of its images."""
        found = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(count) for name, count in zip(self.class_names, found, strict=True)}


def released_rows(
    synthetic: Path, labels: Path | None, work: Path, finish: Callable[[bytes], bytes] = lambda png: png
) -> Rows:
    """Return the images of the synthetic set `synthetic` for a release.

    Args:
        synthetic: artifact of `generate`.
        labels: artifact of `label`; None leaves soft labels out.
        work: folder for the marked pictures and a map of the labels; the rows need it.
        finish: what else is done to a marked picture, after its place was found.
    """
    digests: list[bytes] = []

    def marked() -> Iterator[bytes]:
        for png in _pictures(synthetic):
            picture = mark_png(png)
            digests.append(hashlib.sha256(picture).digest())
            yield finish(picture)

    write_encoded(work / "pictures", marked())
    classes, indices = (synthetic_column(synthetic, name).astype(np.int64) for name in ("label", "index"))
    soft, soft_classes = _soft_labels(labels, indices, work)
    order = _order(digests, classes, soft)
    return Rows(
        class_names=synthetic_class_names(synthetic),
        labels=classes[order],
        pngs=EncodedImages(work / "pictures", lambda data: np.frombuffer(data, np.uint8), order),
        soft_labels=None if soft is None else soft[order],
        soft_label_classes=None if soft_classes is None else soft_classes[order],
    )


def _pictures(synthetic: Path) -> Iterator[bytes]:
    for shard in synthetic_shards(synthetic):
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(ROW_GROUP_RECORDS, columns=["image"]):
                yield from batch.column("image").field("bytes").to_pylist()


def _soft_labels(folder: Path | None, indices: np.ndarray, work: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the soft labels of these images as they are, and their classes; labels of other views need the views' seed."""
    return (None, None) if folder is None else labels_as_they_are(folder, indices, work)


def _order(digests: list[bytes], labels: np.ndarray, soft: np.ndarray | None) -> np.ndarray:
    """Return the places of the images by digest; of equal pictures by label, then by soft label."""
    ties = [] if soft is None else [np.array([int.from_bytes(hashlib.sha256(row).digest()[:7]) for row in soft])]
    parts = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 4)
    return np.lexsort([*ties, labels, *reversed(parts.T)])
