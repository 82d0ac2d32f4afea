"""Parquet shards that `datasets.load_dataset` opens with images and class names; each file is written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tckr.disk import write_whole

ROW_GROUP_RECORDS = 100
"""Rows per row group, which a reader must hold in memory at once."""

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_shard(path: Path, columns: Mapping[str, Any], class_names: Sequence[str] | None = None) -> None:
    """Write one Parquet file with the metadata that makes Hugging Face read `image` as Image and `label` as ClassLabel.

    Args:
        path: final name; the file appears there complete, or not at all.
        columns: equal-length columns by name. `image` contains encoded images. A two-dimensional array becomes a column
            of lists; float16 stays float16. Anything else is converted by `pyarrow.array`.
        class_names: names of the values of `label`, index = value; without them `label` is a plain integer.
    """
    arrays = {name: _to_arrow(name, values) for name, values in columns.items()}
    features = {name: _feature(name, array.type, class_names) for name, array in arrays.items()}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table(arrays).replace_schema_metadata(metadata)
    write_whole(path, lambda partial: pq.write_table(table, partial, row_group_size=ROW_GROUP_RECORDS))


def list_shards(folder: Path) -> list[Path]:
    """Return the Parquet files directly in `folder`, in name order, without unfinished ones."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def read_columns(folder: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return complete columns over all shards of `folder` as arrays; meant for numbers and text, not for images."""
    tables = [pq.read_table(path, columns=list(names)) for path in list_shards(folder)]
    assert tables, f"no Parquet shard in {folder}"
    table = pa.concat_tables(tables)
    return {name: table.column(name).to_numpy() for name in names}


def _to_arrow(name: str, values: Any) -> pa.Array:
    if name == "image":
        return pa.array([{"bytes": value, "path": None} for value in values], type=IMAGE_TYPE)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), flat)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    return pa.array(values)


def _feature(name: str, kind: pa.DataType, class_names: Sequence[str] | None) -> dict[str, Any]:
    if name == "image":
        return {"_type": "Image"}
    if name == "label" and class_names is not None:
        return {"names": list(class_names), "_type": "ClassLabel"}
    if pa.types.is_list(kind):
        return {"feature": _feature("", kind.value_type, None), "_type": "List"}
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
