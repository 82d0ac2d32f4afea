"""Texts that the data set itself gives its pictures, as `prepare` found them. Private, and none of the test split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tckr.data.shards import write_shard
from tckr.errors import UserError

OWN_CAPTIONS_NAME = "own_captions.parquet"


def write_own_captions(folder: Path, captions: Mapping[int, str]) -> None:
    """Write record -> text into the artifact `folder`, whole or not at all; nothing where there are none."""
    if captions:
        records = np.array(list(captions), dtype=np.int64)
        write_shard(folder / OWN_CAPTIONS_NAME, {"record": records, "caption": list(captions.values())})


def read_own_captions(folder: Path) -> dict[int, str]:
    """Return record -> text of a `prepare` artifact.

    Raises:
        UserError: the data set gives its pictures no texts.
    """
    import pyarrow.parquet as pq

    path = folder / OWN_CAPTIONS_NAME
    if not path.exists():
        raise UserError(
            "caption.from_source=true, but the data set gives its pictures no texts; expected a .txt file beside each "
            "picture in its class folder, or a column text, caption, prompt, description or report in a table. Write them, "
            "or set caption.from_source=false."
        )
    table = pq.read_table(path)
    return dict(zip(table.column("record").to_pylist(), table.column("caption").to_pylist(), strict=True))
