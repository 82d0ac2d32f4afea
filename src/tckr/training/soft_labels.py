"""Read soft labels: the file that `label` writes and `distill` learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

SOFT_LABELS_NAME = "soft_labels.parquet"


def read_soft_labels(path: Path, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return index int64 [N] and probabilities float16 [N, K], the latter a memory map of the file `cache`."""
    with pq.ParquetFile(path) as file:
        count = file.metadata.num_rows
        indices = np.empty(count, dtype=np.int64)
        soft_labels: np.ndarray | None = None
        row = 0
        for batch in file.iter_batches(columns=["index", "soft_label"]):
            values = batch.column("soft_label").flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
            if soft_labels is None:
                shape = (count, values.shape[1])
                soft_labels = np.lib.format.open_memmap(cache, mode="w+", dtype=np.float16, shape=shape)
            indices[row : row + len(batch)] = batch.column("index").to_numpy()
            soft_labels[row : row + len(batch)] = values
            row += len(batch)
    assert soft_labels is not None, f"no soft label in {path}"
    return indices, soft_labels
