"""The score table: one row per surface, run and record, for anyone who wants to attack further."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from tckr.disk import write_whole
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.findings import usable_scorers

SCHEMA = pa.schema(
    [
        ("surface", pa.string()),
        ("signal", pa.string()),
        ("run", pa.int64()),
        ("record", pa.int64()),
        ("label", pa.int64()),
        ("group", pa.int64()),
        ("member", pa.bool_()),
        ("value", pa.float64()),
        ("score", pa.float64()),
    ]
)
"""`group`: of the record, empty where each stands for itself. `score`: of the declared scorer, run 0. Runs -1 and -2: the
null and the positive control, with run 0's `member`."""

CONTROL_RUNS = {"null": -1, "positive": -2}

METADATA_KEY = b"tckr"
"""Under this key the file's metadata holds a `Description` as JSON."""


class Description(BaseModel):
    """What a file of ours says of itself: the depth of its reference runs (empty = not known), and its classes."""

    depth: Literal["", "teacher", "distill", "full"] = ""
    class_names: list[str] = []


def write_scores(path: Path, config: MembershipConfig, evidence: Evidence, *, depth: str | None = None) -> None:
    """Write the table, one row group per signal and run; without signals it has no rows.

    `depth` is what the file says that every reference run repeated, if not `config.depth`; empty = not known.
    """
    schema = _schema(evidence, config.depth if depth is None else depth)

    def fill(partial: Path) -> None:
        with pq.ParquetWriter(partial, schema) as writer:
            for signal, values_RN in evidence.signals.items():
                for run, values in enumerate(values_RN):
                    score = _declared_scores(config, evidence, signal) if run == 0 else None
                    writer.write_table(_rows(evidence, signal, run, values, score).cast(schema))
                for control, run in CONTROL_RUNS.items():
                    if signal in evidence.controls.get(control, {}):
                        values = evidence.controls[control][signal]
                        writer.write_table(_rows(evidence, signal, run, values, None).cast(schema))

    write_whole(path, fill)


def describe_scores(schema: pa.Schema) -> Description:
    """Return what the file of this schema says of itself: nothing, when it is not ours."""
    return Description.model_validate_json((schema.metadata or {}).get(METADATA_KEY, b"{}"))


def _schema(evidence: Evidence, depth: str) -> pa.Schema:
    description = Description.model_validate({"depth": depth, "class_names": list(evidence.class_names)})
    schema = SCHEMA.with_metadata({METADATA_KEY: description.model_dump_json()})
    for name, ids in (("record", evidence.records), ("group", evidence.groups)):
        if ids is not None:
            schema = schema.set(schema.get_field_index(name), pa.field(name, pa.array(ids).type))
    return schema


def _declared_scores(config: MembershipConfig, evidence: Evidence, signal: str) -> np.ndarray | None:
    scorer = usable_scorers(evidence, signal).get(config.scorer)
    return scorer.score(evidence.signals[signal], evidence.members_of(signal), 0) if scorer else None


def _rows(evidence: Evidence, signal: str, run: int, values: np.ndarray, score: np.ndarray | None) -> pa.Table:
    n = len(values)
    columns = {
        "surface": pa.array([evidence.surface_of(signal)] * n, pa.string()),
        "signal": pa.array([signal] * n, pa.string()),
        "run": np.full(n, run),
        "record": np.arange(n) if evidence.records is None else evidence.records,
        "label": evidence.labels if len(evidence.class_names) else pa.nulls(n, pa.int64()),
        "group": pa.nulls(n, pa.int64()) if evidence.groups is None else evidence.groups,
        "member": evidence.members[max(run, 0)],
        "value": values,
        "score": pa.nulls(n, pa.float64()) if score is None else score,
    }
    return pa.table(columns)
