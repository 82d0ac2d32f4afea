"""Write the artifact of `prepare`: shards, membership matrix, canaries, rejected.csv. Every file is written atomically."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tckr.artifacts.membership import CANARIES_NAME, MEMBERSHIP_NAME
from tckr.artifacts.split_lock import lock_digest, write_lock_key
from tckr.data.npy import write_npy
from tckr.data.rejections import Rejection
from tckr.data.shards import write_shard
from tckr.disk import write_whole
from tckr.errors import printable
from tckr.stages.prepare.drawing import draw_by_group
from tckr.stages.prepare.splitting import SPLITS, Splits
from tckr.stages.prepare.staging import Staged, read_png

SHARD_RECORDS = 1000
REJECTED_NAME = "rejected.csv"
FORMULA = re.compile(r"""(^|;)(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])""")
"""Start of a cell that a spreadsheet may compute, also after blanks and quotes. East Asian editions accept wide signs, and
where the decimal sign is a comma, cells end at `;`."""


def write_splits(out: Path, splits: Splits, staged: Path, class_names: Sequence[str]) -> None:
    """Write `out/{pool,validation,test}/part-*.parquet`; shards of an interrupted run are kept."""
    for split in SPLITS:
        records: list[Staged] = getattr(splits, split)
        for start in range(0, max(1, len(records)), SHARD_RECORDS):
            path = out / split / f"part-{start // SHARD_RECORDS:05d}.parquet"
            part = records[start : start + SHARD_RECORDS]
            if not path.exists():
                _write_part(path, part, staged, splits.first_record(split) + start, class_names)


def _write_part(path: Path, records: Sequence[Staged], staged: Path, first: int, class_names: Sequence[str]) -> None:
    columns = {
        "image": [read_png(staged, record) for record in records],
        "label": np.array([record.label for record in records], dtype=np.int64),
        "record": np.arange(first, first + len(records), dtype=np.int64),
    }
    write_shard(path, columns, class_names)


def write_lock(out: Path, splits: Splits, seed: int) -> str:
    """Write the key of the test split's lock; return the digest that `split_digest` computes, from known hashes."""
    numbered = enumerate(splits.test, start=splits.first_record("test"))
    lines = ((number, record.label, record.sha256) for number, record in numbered)
    return lock_digest(lines, write_lock_key(out, seed))


def write_membership(
    out: Path,
    pool: Sequence[Staged],
    kinds: np.ndarray,
    class_names: Sequence[str],
    *,
    audit_holdout: float,
    num_rows: int,
    seed: int,
) -> None:
    """Write membership.npy, bool [num_rows, len(pool)], one row in memory at a time; `kinds` as in `write_canaries`.

    Raises:
        UserError: a class has no member in some row, because groups contain several classes.
    """
    rows = draw_by_group(pool, kinds > 0, class_names, audit_holdout=audit_holdout, num_rows=num_rows, seed=seed)
    write_whole(out / MEMBERSHIP_NAME, lambda partial: write_npy(partial, num_rows, (row[None] for row in rows)))


def write_canaries(out: Path, kinds: np.ndarray) -> None:
    """Write canaries.npy, int8 [num_pool]: the kind of every pool record (`CANARY_KINDS`), 0 = not a canary."""

    write_whole(out / CANARIES_NAME, lambda partial: write_npy(partial, len(kinds), [kinds]))


def plain_cell(text: str) -> str:
    """Return `text` so that a spreadsheet shows it and computes nothing: control characters, line ends and invalid
    UTF-8 become escapes, and a quote is put before a possible formula.
    """
    return FORMULA.sub(r"\1'", printable(text))


def write_rejections(out: Path, rejections: Sequence[Rejection]) -> None:
    """Write rejected.csv (file, reason, detail), safe to open in a terminal and in a spreadsheet (`plain_cell`)."""

    def fill(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["file", "reason", "detail"])
            writer.writerows(map(plain_cell, [line.file, line.reason, line.detail]) for line in rejections)

    write_whole(out / REJECTED_NAME, fill)
