"""Read encoded images of the pool or of a synthetic set by class or by number, skipping the rest of the file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from tckr.data.shards import list_shards

Rows = dict[int, list[dict[str, Any]]]
"""Rows of a shard by label."""


class Chosen(NamedTuple):
    """Values of a column to include, or with `invert` to exclude."""

    values: Sequence[int] | np.ndarray
    invert: bool = False


def first_images(folder: Path, labels: range, most: int, columns: Sequence[str], chosen: Chosen | None = None) -> Rows:
    """Return, per label, the first `most` rows of the shards: encoded `image` and `columns`.

    `chosen` restricts the values of the first column. Row groups without a wanted row are not read.
    """
    found: Rows = {label: [] for label in labels}
    for shard in list_shards(folder):
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                if all(len(rows) == most for rows in found.values()):
                    return found
                keys = file.read_row_group(group, columns=["label", columns[0]])
                open_labels = [label for label, rows in found.items() if len(rows) < most]
                wanted = np.isin(keys.column("label"), open_labels)
                if chosen is not None:
                    wanted &= np.isin(keys.column(columns[0]), chosen.values, invert=chosen.invert)
                if wanted.any():
                    table = file.read_row_group(group, columns=["image", "label", *columns])
                    _add(found, table.take(np.flatnonzero(wanted)).to_pylist(), most)
    return found


def _add(found: Rows, rows: list[dict[str, Any]], most: int) -> None:
    for row in rows:
        if len(found[row["label"]]) < most:
            found[row["label"]].append(row)


def images_by_number(folder: Path, column: str, numbers: Collection[int]) -> dict[int, bytes]:
    """Return the encoded images whose `column` is in `numbers`. Row groups without one are not read."""
    found: dict[int, bytes] = {}
    for shard in list_shards(folder) if numbers else []:
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                wanted = np.isin(file.read_row_group(group, columns=[column]).column(column), list(numbers))
                if wanted.any():
                    table = file.read_row_group(group, columns=["image", column])
                    rows = table.take(np.flatnonzero(wanted)).to_pylist()
                    found |= {row[column]: row["image"]["bytes"] for row in rows}
    return found
