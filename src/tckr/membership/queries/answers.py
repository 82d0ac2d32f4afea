"""The file of a run's answers about all records: one row per record, one column per signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tckr.data.shards import write_shard
from tckr.membership.queries.questions import Answers

ANSWERS_NAME = "answers.parquet"


def write_answers(folder: Path, answers: Answers) -> None:
    """Write float64 and bool columns [N] in order of record."""
    count = len(next(iter(answers.values())))
    write_shard(folder / ANSWERS_NAME, {"record": np.arange(count, dtype=np.int64), **answers})


def read_answers(folder: Path) -> Answers:
    """Return the columns by name, in order of record."""
    table = pq.read_table(folder / ANSWERS_NAME)
    assert np.array_equal(table.column("record").to_numpy(), np.arange(len(table)))
    return {name: table.column(name).to_numpy() for name in table.column_names if name != "record"}
