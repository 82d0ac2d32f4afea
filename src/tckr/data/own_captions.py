"""Captions that the data set itself contains, stored by `prepare`. Private; none of the test split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tckr.data.shards import write_shard
from tckr.errors import UserError

OWN_CAPTIONS_NAME = "own_captions.parquet"


def write_own_captions(folder: Path, captions: Mapping[int, str]) -> None:
    """Write record -> text into the artifact `folder`, completely or not at all; write nothing if there are none."""
    if captions:
        records = np.array(list(captions), dtype=np.int64)
        write_shard(folder / OWN_CAPTIONS_NAME, {"record": records, "caption": list(captions.values())})


def read_own_captions(folder: Path) -> dict[int, str]:
    """Return record -> text of a `prepare` artifact.

    Raises:
        UserError: the data set contains no captions.
    """
    import pyarrow.parquet as pq

    path = folder / OWN_CAPTIONS_NAME
    if not path.exists():
        raise UserError(
            "caption.from_source=true, but the data set has no texts for its images; expected a .txt file beside each "
            "image in its class folder, or a column text, caption, prompt, description or report in a table. Add them, "
            "or set caption.from_source=false."
        )
    table = pq.read_table(path)
    return dict(zip(table.column("record").to_pylist(), table.column("caption").to_pylist(), strict=True))
