"""The record of every labelled training row of the data source, in the source's order, stored by `prepare`.

Captions from elsewhere have this order and are matched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tckr.data.shards import write_shard

SOURCE_ROWS_NAME = "source_rows.parquet"
NO_RECORD = -1
"""Entry of a rejected row, which keeps its position."""


@dataclass(frozen=True)
class SourceRows:
    """N labelled rows of the source's training part.

    Attributes:
        class_names: N names, as written in the source.
        records: int64 [N], record numbers in pool, validation or test, or `NO_RECORD`.
    """

    class_names: Sequence[str]
    records: np.ndarray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.records)


def write_source_rows(folder: Path, rows: SourceRows) -> None:
    """Write the rows into the artifact `folder`, completely or not at all."""
    write_shard(folder / SOURCE_ROWS_NAME, {"class_name": list(rows.class_names), "record": rows.records})


def read_source_rows(folder: Path) -> SourceRows:
    """Return the rows of a `prepare` artifact."""
    table = pq.read_table(folder / SOURCE_ROWS_NAME)
    return SourceRows(table.column("class_name").to_pylist(), table.column("record").to_numpy())
