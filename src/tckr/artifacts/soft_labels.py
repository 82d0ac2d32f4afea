"""The file of soft labels that `label` writes and `distill` is trained on: layout, compression and reading.

`soft_labels.parquet` has one row per image and view, the views of an image one after another:

    index, label                    the image, and the class of its prompt
    view                            only with several views per image; view 0 is the original image
    soft_label                      float16 probabilities: of all K classes in the order of `label`, or of the k most
    probable soft_label_class                only with k < K: the classes of those k, most probable first

The file's metadata contains, under `tckr`, the temperature and how the views are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tckr.data.class_names import read_class_names
from tckr.data.images import shards_digest
from tckr.data.npy import write_npy
from tckr.data.variation import ViewRecipe
from tckr.disk import write_whole

STORED_TYPE = np.float16
"""Number type of the stored probabilities."""

SOFT_LABELS_NAME = "soft_labels.parquet"
METADATA = b"tckr"


@dataclass(frozen=True, kw_only=True)
class LabelRecipe:
    """How soft labels were made.

    Attributes:
        temperature: divisor of the Teacher's logits.
        views: of every image, with one label each.
    """

    temperature: float = 1.0
    views: ViewRecipe = field(default_factory=ViewRecipe)

    def into(self, metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes]:
        """Return a file's metadata with the recipe added."""
        written = {"temperature": self.temperature, "views": self.views.as_dict()}
        return {**(metadata or {}), METADATA: json.dumps(written).encode()}

    @classmethod
    def out_of(cls, metadata: Mapping[bytes, bytes] | None) -> LabelRecipe:
        """Return the recipe in a file's metadata; without one, the defaults."""
        values = json.loads((metadata or {}).get(METADATA, b"{}"))
        return cls(**values | {"views": ViewRecipe.from_dict(values.get("views", {}))})


@dataclass(frozen=True, kw_only=True)
class SoftLabels:
    """Soft labels of N images in V views; k of K probabilities are stored, all of them or the largest.

    Attributes:
        indices: int64 [N], the images.
        stored: float16 [N, V, k]; may be a memory map.
        classes: int [N, V, k], classes of the `stored` probabilities; None if all are stored in class order.
        class_names: K names.
        recipe: how they were made.
    """

    indices: np.ndarray
    stored: np.ndarray
    classes: np.ndarray | None
    class_names: Sequence[str]
    recipe: LabelRecipe

    def of(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Return probabilities [B, K] of view `views[i]` of image `rows[i]`."""
        if self.classes is None:
            return self.stored[rows, views]
        return spread_top(self.stored[rows, views], self.classes[rows, views], len(self.class_names))

    def first_choices(self) -> np.ndarray:
        """Return int64 [N], the most probable class of every original image."""
        if self.classes is None:
            return np.asarray(self.stored[:, 0].argmax(axis=1))
        return self.classes[:, 0, 0].astype(np.int64)


def take_top(probabilities: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k largest of float16 [N, K], largest first (ties in class order), and their classes."""
    classes = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    small = probabilities.shape[1] <= np.iinfo(np.int16).max
    return np.take_along_axis(probabilities, classes, axis=1), classes.astype(np.int16 if small else np.int32)


def spread_top(values: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Return float32 [B, K] from the k largest probabilities [B, k]; the remaining probability is spread evenly."""
    values = values.astype(np.float32)
    left = np.maximum(1 - values.sum(axis=1, keepdims=True), 0) / max(num_classes - values.shape[1], 1)
    whole = np.repeat(left, num_classes, axis=1)
    np.put_along_axis(whole, classes.astype(np.int64), values, axis=1)
    return whole


def read_soft_labels(folder: Path, cache: Path) -> SoftLabels:
    """Return the soft labels in `folder`; probabilities and classes are memory maps of files in the folder `cache`."""
    path = folder / SOFT_LABELS_NAME
    schema = pq.read_schema(path)
    recipe = LabelRecipe.out_of(schema.metadata)
    num_views = recipe.views.num_views
    indices = pq.read_table(path, columns=["index"]).column("index").to_numpy().reshape(-1, num_views)
    assert (indices == indices[:, :1]).all(), "the views of an image are not one after another"
    names = [name for name in ("soft_label", "soft_label_class") if name in schema.names]
    digest = shards_digest(folder)
    columns = {name: map_lists(path, name, cache / f"{name}-{digest}.npy") for name in names}
    shaped = {name: column.reshape(len(indices), num_views, -1) for name, column in columns.items()}
    return SoftLabels(
        indices=np.ascontiguousarray(indices[:, 0], dtype=np.int64),
        stored=shaped["soft_label"],
        classes=shaped.get("soft_label_class"),
        class_names=read_class_names(folder),
        recipe=recipe,
    )


def labels_as_they_are(folder: Path, indices: np.ndarray, cache: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return soft labels float16 [N, k] of these original images, and their classes (None if all classes are stored)."""
    found = read_soft_labels(folder, cache)
    place = np.argsort(found.indices, kind="stable")
    rows = place[np.searchsorted(found.indices, indices, sorter=place)]
    assert np.array_equal(found.indices[rows], indices), "soft labels of other images"
    classes = None if found.classes is None else np.array(found.classes[rows, 0])
    return np.array(found.stored[rows, 0]), classes


def map_lists(path: Path, name: str, cache: Path) -> np.ndarray:
    """Return a column of equally long lists as an array [rows, length]: a memory map of the file `cache`, created once."""
    if not cache.exists():
        write_whole(cache, lambda partial: _write_lists(partial, path, name))
    return np.load(cache, mmap_mode="r")


def _write_lists(target: Path, path: Path, name: str) -> None:
    with pq.ParquetFile(path) as file:
        batches = file.iter_batches(columns=[name])
        write_npy(target, file.metadata.num_rows, (lists_of(batch.column(name)) for batch in batches))


def lists_of(column: pa.ListArray) -> np.ndarray:
    """Return equally long lists as an array [rows, length]."""
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
