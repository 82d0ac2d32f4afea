"""Copy shards from another synthetic set that contains them: a 20x set contains the 10x set.

A copied image equals the donor's bit for bit. Generated again it could differ by one grey level, because the last shard of a
smaller set is generated in smaller batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tckr.artifacts.synthetic import DATA_FOLDER, CopiedImages, SyntheticFacts, seconds_alone, synthetic_shards
from tckr.data.shards import ROW_GROUP_RECORDS
from tckr.disk import write_whole
from tckr.stages.generate.plan import Plan


def copy_shards(donors: Sequence[Path], plan: Plan, shard_size: int, out: Path) -> int:
    """Copy every missing shard of `plan` that a donor contains completely into `out/data`; return the number of images.

    Rows with another prompt or seed than planned are never copied. Both sets must have shards of
    `shard_size`.
    """
    copied = 0
    sources: set[Path] = set()
    for shard, (name, indices) in enumerate(plan.shards(shard_size) if donors else ()):  # a large plan starts at once
        path = out / DATA_FOLDER / name
        for donor in donors:
            rows = None if path.exists() else _rows(donor, shard, plan, indices)
            if rows is not None:
                write_whole(path, partial(_write_rows, rows))
                copied += len(indices)
                sources.add(donor)
    if sources:
        _note(out, copied, sorted(sources))
    return copied


def _rows(donor: Path, shard: int, plan: Plan, indices: range) -> pa.Table | None:
    """Return the rows `indices` of a donor's shard, or None if some are missing or not as planned."""
    files = synthetic_shards(donor)
    if shard >= len(files) or pq.read_metadata(files[shard]).num_rows < len(indices):
        return None
    rows = pq.read_table(files[shard]).slice(0, len(indices))
    planned = [plan.image(index) for index in indices]
    wanted = {name: [getattr(image, name) for image in planned] for name in ("index", "seed", "prompt", "label")}
    return rows if all(rows.column(name).to_pylist() == values for name, values in wanted.items()) else None


def _write_rows(rows: pa.Table, path: Path) -> None:
    pq.write_table(rows, path, row_group_size=ROW_GROUP_RECORDS)


def _note(out: Path, copied: int, donors: Sequence[Path]) -> None:
    """Record what was copied and the time that it had cost, added to the record of an earlier, killed attempt."""
    before = CopiedImages.read_if_there(out)
    CopiedImages(
        images=copied + (before.images if before else 0),
        of=sum(SyntheticFacts.read(donor).num_images for donor in donors),
        seconds=sum(seconds_alone(donor) for donor in donors),
    ).write(out)
