"""The file of a run's answers: one row per record, one column per signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tckr.data.shards import write_shard
from tckr.membership.queries.questions import Answers

ANSWERS_NAME = "answers.parquet"


def write_answers(folder: Path, answers: Answers, records: np.ndarray) -> None:
    """Write float64 and bool columns [N] about these records, int64 [N], ascending."""
    write_shard(folder / ANSWERS_NAME, {"record": records, **answers})


def read_answers(folder: Path, count: int, *, complete: bool = True) -> Answers:
    """Return the columns by name, [count], in order of record; if not `complete`, NaN where the file has no record."""
    table = pq.read_table(folder / ANSWERS_NAME)
    records = table.column("record").to_numpy()
    found = {name: table.column(name).to_numpy() for name in table.column_names if name != "record"}
    if complete:
        assert np.array_equal(records, np.arange(count)), f"{len(records)} answers about {count} records"
        return found
    return {name: _spread(values, records, count) for name, values in found.items()}


def _spread(values: np.ndarray, records: np.ndarray, count: int) -> np.ndarray:
    spread = np.full(count, np.nan)
    spread[records] = values
    return spread
