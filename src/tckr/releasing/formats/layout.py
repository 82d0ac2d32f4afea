"""Common parts of the image formats: files with a limited number of images, file names, and columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from tckr.releasing.rows import Row, Rows

IMAGES_PER_FILE = 5000
SPLIT = "train"


def files_of(rows: Rows, suffix: str) -> Iterator[tuple[str, Iterator[Row]]]:
    """Yield name and images of each file, e.g. `data/train-00000-of-00002.parquet`. Read the images before the next file."""
    images = iter(rows)
    for name in file_names(rows, suffix):
        yield name, islice(images, IMAGES_PER_FILE)


def file_names(rows: Rows, suffix: str) -> list[str]:
    """Return the names of the files of a set."""
    count = -(-len(rows) // IMAGES_PER_FILE)
    return [f"data/{SPLIT}-{number:05d}-of-{count:05d}{suffix}" for number in range(count)]


def soft_columns(row: Row) -> dict[str, list[Any]]:
    """Return the soft label of an image by column, empty without one. Numbers have the digits that float32 needs."""
    columns: dict[str, list[Any]] = {}
    if row.soft_label is not None:
        columns["soft_label"] = [float(str(value)) for value in row.soft_label]
    if row.soft_label_class is not None:
        columns["soft_label_class"] = row.soft_label_class.tolist()
    return columns


def as_json(value: Any) -> str:
    """Return `value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
