"""The synthetic set of a run as a `datasets.Dataset` in memory: nothing is written to a cache outside of the run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, DatasetInfo, Features, Image, List, Value
from datasets.table import InMemoryTable

from tckr.artifacts.soft_labels import labels_as_they_are
from tckr.artifacts.synthetic import synthetic_class_names, synthetic_shards


def synthetic_dataset(synthetic: Path, labels: Path | None) -> Dataset:
    """Return the images of the artifact `synthetic` by index, with the soft labels of the artifact `labels`."""
    table = pa.concat_tables(
        pq.read_table(shard, columns=["image", "label", "index"]) for shard in synthetic_shards(synthetic)
    )
    columns = {name: table.column(name) for name in table.column_names}
    if labels is not None:
        columns |= _soft_labels(labels, table.column("index").to_numpy())
    features = {
        "image": Image(),
        "label": ClassLabel(names=synthetic_class_names(synthetic)),
        "index": Value("int64"),
        "soft_label": List(Value("float32")),
        "soft_label_class": List(Value("int64")),
    }
    info = DatasetInfo(features=Features({name: features[name] for name in columns}))
    return Dataset(InMemoryTable(pa.table(columns)), info=info)


def _soft_labels(folder: Path, indices: np.ndarray) -> dict[str, pa.Array]:
    with tempfile.TemporaryDirectory() as work:
        soft, classes = labels_as_they_are(folder, indices, Path(work))
    columns = {"soft_label": _lists(soft.astype(np.float32))}
    return columns if classes is None else {**columns, "soft_label_class": _lists(classes.astype(np.int64))}


def _lists(values_NK: np.ndarray) -> pa.Array:
    ends = np.arange(0, values_NK.size + 1, values_NK.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(values_NK.ravel()))
