"""Read the class names of a labelled Parquet shard; artifacts are matched by names, never by indices alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from tckr.data.shards import list_shards


def read_class_names(folder: Path) -> list[str]:
    """Return the ClassLabel names (index = label) of the first shard in `folder`."""
    shards = list_shards(folder)
    assert shards, f"no Parquet shard in {folder}"
    metadata = pq.read_schema(shards[0]).metadata or {}
    assert b"huggingface" in metadata, f"{shards[0]} carries no feature metadata"
    feature = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]
    assert feature.get("_type") == "ClassLabel", f"label of {shards[0]} has no class names"
    return list(feature["names"])
