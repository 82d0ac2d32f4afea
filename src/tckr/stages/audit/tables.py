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
        ("signal", pa.string()),
        ("run", pa.int64()),
        ("record", pa.int64()),
        ("label", pa.int64()),
        ("member", pa.bool_()),
        ("value", pa.float64()),
        ("score", pa.float64()),
    ]
)
"""`score`: of the declared scorer, run 0. Runs -1 and -2: the null and the positive control, with run 0's `member`."""

CONTROL_RUNS = {"null": -1, "positive": -2}


def write_scores(path: Path, config: AuditConfig, evidence: Evidence) -> None:
    """Write the table, one row group per signal and run; without signals it has no rows."""

    def fill(partial: Path) -> None:
        with pq.ParquetWriter(partial, SCHEMA) as writer:
            for signal, values_RN in evidence.signals.items():
                for run, values in enumerate(values_RN):
                    score = _declared_scores(config, evidence, signal) if run == 0 else None
                    writer.write_table(_rows(evidence, signal, run, values, score))
                for control, run in CONTROL_RUNS.items():
                    if signal in evidence.controls.get(control, {}):
                        writer.write_table(_rows(evidence, signal, run, evidence.controls[control][signal], None))

    write_whole(path, fill)


def _declared_scores(config: AuditConfig, evidence: Evidence, signal: str) -> np.ndarray | None:
    scorer = usable_scorers(evidence, signal).get(config.scorer)
    return scorer.score(evidence.signals[signal], evidence.members_of(signal), 0) if scorer else None


def _rows(evidence: Evidence, signal: str, run: int, values: np.ndarray, score: np.ndarray | None) -> pa.Table:
    n = len(values)
    columns = {
        "surface": pa.array([evidence.surface_of(signal)] * n, pa.string()),
        "signal": pa.array([signal] * n, pa.string()),
        "run": np.full(n, run),
        "record": np.arange(n),
        "label": evidence.labels,
        "member": evidence.members[max(run, 0)],
        "value": values,
        "score": pa.nulls(n, pa.float64()) if score is None else score,
    }
    return pa.table(columns, schema=SCHEMA)
