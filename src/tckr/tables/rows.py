"""Read scores and membership as rows of one Parquet file: the schema of `scores.parquet`, half of its columns optional.

Shape suffixes: L rows of the file, R runs (row 0 = target), N records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from tckr.data.unpacking import read_columns
from tckr.errors import UserError
from tckr.membership.evidence import Evidence
from tckr.membership.scores import CONTROL_RUNS, SCHEMA, describe_scores
from tckr.tables.arrays import ONLY_SURFACE, as_members

REQUIRED = ("run", "record", "member", "value")
OF_RECORDS = ("label", "group")
"""What a record has whatever the run; a column may be left out, or be empty throughout."""

UNUSED = ("score",)
"""Known but not read: what an attack made of the table earlier."""


@dataclass(frozen=True)
class Rows:
    """The columns, [L] each.

    `signal` indexes `names`, pairs of surface and signal in order of their first row; `record` indexes `records`, the ids in
    ascending order; `label` indexes `class_names` and `group` indexes `groups`; they are empty where the file has none.
    """

    names: list[tuple[str, str]]
    records: np.ndarray
    class_names: list[str]
    groups: np.ndarray
    signal: np.ndarray
    run: np.ndarray
    record: np.ndarray
    member: np.ndarray
    value: np.ndarray
    label: np.ndarray
    group: np.ndarray


@dataclass(frozen=True)
class Block:
    """What one signal says: `runs` int64 [R] in ascending order, then controls; values float64 and members bool [R, N]."""

    runs: np.ndarray
    values: np.ndarray
    members: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """Return which of the runs are the target and its references, bool [R]."""
        return self.runs >= 0


def read_rows(file: Path) -> tuple[Evidence, str]:
    """Return the evidence of a Parquet file and the depth that it names, empty where it names none.

    Raises:
        UserError: not Parquet, missing or unknown columns, or rows that do not make a value per signal, run and record.
    """
    rows, depth = _read(file)
    signals = _unique_names(rows.names)
    blocks = {name: _block(rows, index, name) for index, name in enumerate(signals)}
    surfaces: dict[str, tuple[str, ...]] = {}
    for (surface, _), name in zip(rows.names, signals, strict=True):
        surfaces[surface] = (*surfaces.get(surface, ()), name)
    evidence = Evidence(
        class_names=rows.class_names,
        labels=_of_records(rows, rows.label, "labels") if len(rows.label) else np.zeros(len(rows.records), dtype=np.int64),
        groups=rows.groups[_of_records(rows, rows.group, "groups")] if len(rows.group) else None,
        records=rows.records,
        members=_membership(blocks),
        surfaces=surfaces,
        signals={name: block.values[block.own] for name, block in blocks.items()},
        controls=_controls(blocks),
    )
    return evidence, depth


def _read(file: Path) -> tuple[Rows, str]:
    try:
        schema = pq.read_schema(file)
        found = [name for name in schema.names if not name.startswith("__index_level_")]  # of pandas
        _require_names(found)
        table = read_columns(file, [name for name in found if name not in UNUSED])
        description = describe_scores(schema)
    except (pa.ArrowException, OSError, ValidationError) as error:
        raise UserError(
            f"cannot be read as Parquet ({' '.join(str(error).split())}); write it with pyarrow, pandas or polars"
        ) from None
    if not len(table):
        raise UserError("found no rows; expected one per run and record")
    empty = [name for name in OF_RECORDS if name in table.column_names and table.column(name).null_count == len(table)]
    table = table.drop_columns(empty)
    return _columns(table, description.class_names), description.depth


def _require_names(found: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in found]
    unknown = [name for name in found if name not in SCHEMA.names or found.count(name) > 1]
    if missing or unknown:
        advice = f"add {', '.join(missing)}" if missing else f"rename or drop {', '.join(dict.fromkeys(unknown))}"
        optional = ", ".join(name for name in SCHEMA.names if name not in REQUIRED)
        raise UserError(
            f"found the columns {', '.join(found)}; expected {', '.join(REQUIRED)}, optionally {optional}, once each and no "
            f"other; {advice}"
        )


def _columns(table: pa.Table, class_names: list[str]) -> Rows:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count:
            raise UserError(
                f"column {name} has {column.null_count} empty cells; fill them, or drop those records everywhere"
            )
    names, signal = _signals(table)
    records, record = _ascending(*_codes(table, "record"))
    class_names, label = _classes(table, class_names)
    nothing = np.empty(0, dtype=np.int64)
    groups, group = _codes(table, "group") if "group" in table.column_names else (nothing, nothing)
    return Rows(
        names=names,
        records=records,
        class_names=class_names,
        groups=groups,
        signal=signal,
        run=_numbers(table, "run", "integers").astype(np.int64),
        record=record,
        member=as_members(table.column("member").to_numpy(), "column member"),
        value=_numbers(table, "value", "real numbers").astype(np.float64),
        label=label,
        group=group,
    )


def _numbers(table: pa.Table, name: str, expected: str) -> np.ndarray:
    kind = table.column(name).type
    if not (pa.types.is_integer(kind) or (expected == "real numbers" and pa.types.is_floating(kind))):
        raise UserError(f"column {name} is of type {kind}; expected {expected}")
    return table.column(name).to_numpy()


def _codes(table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values of a column of integers or text, in order of their first row, and int64 [L] into them."""
    column = table.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UserError(f"column {name} is of type {kind}; expected integers or text")
    encoded = column.cast(kind).dictionary_encode().unify_dictionaries()
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks]).astype(np.int64)
    return np.array(encoded.chunk(0).dictionary.to_pylist()), codes


def _ascending(values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same column with its different values in ascending order."""
    order = np.argsort(values)
    return values[order], np.argsort(order)[codes]


def _signals(table: pa.Table) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return pairs of surface and signal in order of their first row, and int64 [L] into them; one names the other."""
    present = [name for name in ("surface", "signal") if name in table.column_names]
    if not present:
        return [(ONLY_SURFACE, ONLY_SURFACE)], np.zeros(len(table), dtype=np.int64)
    columns = [_codes(table, name) for name in present]
    (surfaces, surface), (signals, signal) = columns[0], columns[-1]
    pairs, first, codes = np.unique(surface * len(signals) + signal, return_index=True, return_inverse=True)
    order = np.argsort(first)
    names = [(str(surfaces[pair // len(signals)]), str(signals[pair % len(signals)])) for pair in pairs[order]]
    return names, np.argsort(order)[codes]


def _unique_names(names: list[tuple[str, str]]) -> list[str]:
    """Return a name for every signal: its own, or with its surface where several surfaces call theirs the same."""
    own = [signal for _, signal in names]
    return own if len(set(own)) == len(own) else [f"{surface}: {signal}" for surface, signal in names]


def _classes(table: pa.Table, class_names: list[str]) -> tuple[list[str], np.ndarray]:
    """Return the class names and int64 [L] into them; `class_names` as our own files have them, else empty."""
    if "label" not in table.column_names:
        return [], np.empty(0, dtype=np.int64)
    values, codes = _ascending(*_codes(table, "label"))
    if not class_names:
        return [str(value) for value in values], codes
    if values.dtype.kind not in "iu" or values[0] < 0 or values[-1] >= len(class_names):
        raise UserError(
            f"column label holds {values.tolist()[:10]}; expected 0 to {len(class_names) - 1}, as the file names classes"
        )
    return class_names, values[codes].astype(np.int64)


def _of_records(rows: Rows, values: np.ndarray, name: str) -> np.ndarray:
    """Return int64 [N] of values [L] that are the same in all rows of a record."""
    found = np.zeros(len(rows.records), dtype=np.int64)
    found[rows.record] = values
    wrong = np.flatnonzero(found[rows.record] != values)
    if len(wrong):
        raise UserError(f"record {rows.records[rows.record[wrong[0]]]} has several {name}; expected one in all runs")
    return found


def _block(rows: Rows, signal: int, name: str) -> Block:
    chosen = np.flatnonzero(rows.signal == signal)
    runs, run = np.unique(rows.run[chosen], return_inverse=True)
    if runs[0] < min(CONTROL_RUNS.values()):
        raise UserError(
            f"found run {runs[0]}; expected 0 (the target), 1, 2, ... (its references), -1 (null control), -2 (positive)"
        )
    record, shape = rows.record[chosen], (len(runs), len(rows.records))
    _require_every_cell(name, runs, run, record, rows.records)
    values, members = np.empty(shape), np.empty(shape, dtype=np.bool_)
    values[run, record], members[run, record] = rows.value[chosen], rows.member[chosen]
    return Block(runs, values, members)


def _require_every_cell(name: str, runs: np.ndarray, run: np.ndarray, record: np.ndarray, records: np.ndarray) -> None:
    """Raise unless every run (int64 [L] into `runs`) has every record exactly once."""
    per_run = np.bincount(run)
    odd = np.flatnonzero(per_run != len(records))
    if not len(odd):  # only now is [R, N] as large as the table, and no larger
        cells = np.bincount(run * len(records) + record)
        odd = np.flatnonzero(cells.reshape(len(runs), -1).max(axis=1) > 1) if cells.max() > 1 else odd
    if len(odd):
        counts = np.bincount(record[run == odd[0]], minlength=len(records))
        which, how = (counts > 1, "twice") if counts.max() > 1 else (counts == 0, "not")
        raise UserError(
            f"{name}: run {runs[odd[0]]} has record {records[which][0]} {how} ({which.sum()} such of {len(records)}); "
            "expected one row for every run and record; remove doubles, and drop records that not every run was asked about"
        )


def _membership(blocks: Mapping[str, Block]) -> np.ndarray:
    """Return bool [R, N] of the signals with most runs; the others must agree with it."""
    fullest = max(blocks.values(), key=lambda block: block.own.sum())
    runs, members = fullest.runs[fullest.own], fullest.members[fullest.own]
    if 0 not in runs:
        raise UserError(f"found the runs {runs.tolist()}; number the attacked one 0 and its reference runs 1, 2, ...")
    for name, block in blocks.items():
        own = block.runs[block.own]
        if own.tolist() not in ([0], runs.tolist()):
            raise UserError(
                f"{name} has the runs {own.tolist()}; expected run 0 (the target) alone, or all of {runs.tolist()}"
            )
        if not np.array_equal(block.members[block.own], members[: len(own)]):
            raise UserError(
                f"{name} says of some records otherwise who trained on them; expected one membership per run and record"
            )
    return members


def _controls(blocks: Mapping[str, Block]) -> dict[str, dict[str, np.ndarray]]:
    """Return what the control runs say; their membership is of no account, for it is the target's that is attacked."""
    found = {
        control: {name: block.values[block.runs == run][0] for name, block in blocks.items() if run in block.runs}
        for control, run in CONTROL_RUNS.items()
    }
    return {control: signals for control, signals in found.items() if signals}
