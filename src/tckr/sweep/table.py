"""The table of a sweep: one row per variant, read from its artifacts. Knows no step and no order of work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tckr.artifacts.audit import AuditResult, SurfaceResult
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.synthetic import SyntheticFacts
from tckr.disk import write_whole
from tckr.first.validation import Validation
from tckr.membership.wording import verdict_text
from tckr.metrics.estimate import Estimate
from tckr.surfaces import CLASSIFIERS

Row = dict[str, Any]

MEASURED = ("accuracy", "validation_accuracy", "auc", "auc_of_runs", "aop")
"""What is measured of each model: on the test split (CAS); on the validation split; attack AUC against the target; the same,
mean over all runs taken as the target in turn; accuracy over privacy."""

MEASURED_COLUMNS = [f"{model}_{name}" for model in CLASSIFIERS for name in MEASURED] + ["student_minus_teacher"]


def measured_row(artifacts: Mapping[str, Path]) -> Row:
    """Return all measured columns of a whole variant: each number with `_low` and `_high`, None where not measured.

    Args:
        artifacts: step name -> folder; of prepare, generate, audit and validate.
    """
    audit = AuditResult.read(artifacts["audit"])
    validation = Validation.read(artifacts["validate"])
    row: Row = {}
    for model in CLASSIFIERS:
        found = of_model(audit.surfaces[model], audit.declared.scorer) | {"validation_accuracy": getattr(validation, model)}
        for name in MEASURED:
            row |= _columns(f"{model}_{name}", found[name])
    row |= _columns("student_minus_teacher", audit.differences.cas if audit.differences else None)
    card = DataCard.read(artifacts["prepare"])
    facts = SyntheticFacts.read(artifacts["generate"])
    return row | {
        "attack": audit.declared.scorer,
        "audit_valid": audit.valid if audit.measured else None,
        "verdict": verdict_text(audit.verdict),
        "num_reference_runs": audit.declared.num_reference_runs if audit.measured else 0,
        "num_members": card.num_members,
        "num_images": facts.num_images,
        "num_validation": card.num_validation,
        "num_test": audit.declared.num_test,
    }


def missing_row() -> Row:
    """Return the measured columns of a variant that is not whole."""
    row: Row = {}
    for name in MEASURED_COLUMNS:
        row |= _columns(name, None)
    others = ("attack", "audit_valid", "verdict", "num_reference_runs", "num_members", "num_images", "num_validation")
    return row | dict.fromkeys((*others, "num_test"))


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as one Parquet file, whole or not at all; a row without a column has None there."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: _alike([row.get(name) for row in rows]) for name in names})
    write_whole(path, lambda partial: pq.write_table(table, partial))


def read_table(path: Path) -> list[Row]:
    """Return the rows of a sweep's table."""
    return pq.read_table(path).to_pylist()


def of_model(surface: SurfaceResult, scorer: str) -> dict[str, Any]:
    """Return what was measured with the declared attack; a model that no reference run repeats has no AUC that counts."""
    alone = surface.leave_one_out.get(scorer)
    return {
        "accuracy": surface.cas,
        "auc": surface.auc.get(scorer),
        "auc_of_runs": alone.mean if alone else None,
        "aop": surface.aop,
    }


def _columns(name: str, measured: Any) -> Row:
    known = isinstance(measured, Estimate)
    numbers = (measured.value, measured.low, measured.high) if known else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))


def _alike(values: Sequence[Any]) -> list[Any]:
    """Return values of one type, as a column needs: numbers as they are (fractions where there is one), else text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and not kinds & {dict, list}:
        return list(values)
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
