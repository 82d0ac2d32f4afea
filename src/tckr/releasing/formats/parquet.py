"""Parquet files that `datasets.load_dataset(folder)`, pandas and polars open."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tckr.data.shards import ROW_GROUP_RECORDS
from tckr.releasing.formats.layout import files_of, soft_columns
from tckr.releasing.rows import Row, Rows


def write_parquet(rows: Rows, folder: Path) -> None:
    """Write `data/train-*.parquet` with image, label (a ClassLabel with names) and soft label; one row group in memory."""
    schema = features(rows).arrow_schema
    for name, images in files_of(rows, ".parquet"):
        (folder / name).parent.mkdir(exist_ok=True)
        with pq.ParquetWriter(folder / name, schema) as writer:
            while group := [_columns(row) for row in islice(images, ROW_GROUP_RECORDS)]:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))


def features(rows: Rows) -> Any:
    """Return the column types as `datasets` describes them."""
    from datasets import ClassLabel, Features, Image, List, Value

    soft = {} if rows.soft_labels is None else {"soft_label": List(Value("float32"))}
    classes = {} if rows.soft_label_classes is None else {"soft_label_class": List(Value("int32"))}
    return Features({"image": Image(), "label": ClassLabel(names=rows.class_names), **soft, **classes})


def _columns(row: Row) -> dict[str, Any]:
    return {"image": {"bytes": row.png, "path": None}, "label": row.label, **soft_columns(row)}
