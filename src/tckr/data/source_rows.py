"""Which record every labelled training row of the data source became, in the source's order, as `prepare` found it.

Captions from elsewhere come in that order and are matched by it.
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
"""A row that was refused; it keeps its place."""


@dataclass(frozen=True)
class SourceRows:
    """N rows of the source's training part that have a label.

    Attributes:
        class_names: N names, as the source writes them.
        records: int64 [N], record numbers in pool, validation or test, or `NO_RECORD`.
    """

    class_names: Sequence[str]
    records: np.ndarray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.records)


def write_source_rows(folder: Path, rows: SourceRows) -> None:
    """Write the rows into the artifact `folder`, whole or not at all."""
    write_shard(folder / SOURCE_ROWS_NAME, {"class_name": list(rows.class_names), "record": rows.records})


def read_source_rows(folder: Path) -> SourceRows:
    """Return the rows of a `prepare` artifact."""
    table = pq.read_table(folder / SOURCE_ROWS_NAME)
    return SourceRows(table.column("class_name").to_pylist(), table.column("record").to_numpy())
