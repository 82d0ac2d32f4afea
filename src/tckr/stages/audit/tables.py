"""The score table: one row per surface, run and record, for anyone who wants to attack further."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tckr.data.shards import write_whole
from tckr.stages.audit.config import AuditConfig
from tckr.stages.audit.evidence import Evidence
from tckr.stages.audit.surfaces import usable_scorers

SCHEMA = pa.schema(
    [
        ("surface", pa.string()),
        ("run", pa.int64()),
        ("record", pa.int64()),
        ("label", pa.int64()),
        ("member", pa.bool_()),
        ("signal", pa.float64()),
        ("score", pa.float64()),
    ]
)
"""`score` is the declared scorer's, for run 0; `control.null` and `control.positive` are surfaces with `member` = row 0."""


def write_scores(path: Path, config: AuditConfig, evidence: Evidence) -> None:
    """Write the table, one row group per surface and run; without signals it has no rows."""

    def fill(partial: Path) -> None:
        with pq.ParquetWriter(partial, SCHEMA) as writer:
            for surface, answers in evidence.pool.items():
                for run, signals in enumerate(answers.signals):
                    score = _declared_scores(config, evidence, surface) if run == 0 else None
                    writer.write_table(_rows(evidence, surface, run, signals, score))
            for name, answers in evidence.controls.items():
                writer.write_table(_rows(evidence, f"control.{name}", 0, answers.signals, None))

    write_whole(path, fill)


def _declared_scores(config: AuditConfig, evidence: Evidence, surface: str) -> np.ndarray | None:
    scorer = usable_scorers(evidence, surface).get(config.scorer)
    return scorer.score(evidence.pool[surface].signals, evidence.members_of(surface), 0) if scorer else None


def _rows(evidence: Evidence, surface: str, run: int, signals: np.ndarray, score: np.ndarray | None) -> pa.Table:
    n = len(signals)
    columns = {
        "surface": pa.array([surface] * n, pa.string()),
        "run": np.full(n, run),
        "record": np.arange(n),
        "label": evidence.labels,
        "member": evidence.members[run],
        "signal": signals,
        "score": pa.nulls(n, pa.float64()) if score is None else score,
    }
    return pa.table(columns, schema=SCHEMA)
