"""One row per variant, for all types of swept values; a missing number is null."""

from __future__ import annotations

import pyarrow.parquet as pq

from tckr.artifacts.audit import SurfaceResult
from tckr.metrics.estimate import Estimate
from tckr.sweep.table import MEASURED_COLUMNS, missing_row, of_model, read_table, write_table


def test_rows_come_back_with_types_that_fit_all_of_them(tmp_path):
    rows = [
        {"a": 1, "b": 0.1, "c": "n", "d": {"x": 1}, "e": True, "f": None, "g": None},
        {"a": 2, "b": 5, "c": None, "d": [1, 2], "e": False, "f": None, "g": "no"},
    ]
    write_table(tmp_path / "sweep.parquet", rows)
    back = read_table(tmp_path / "sweep.parquet")
    assert [row["a"] for row in back] == [1, 2]
    assert [row["b"] for row in back] == [0.1, 5.0]
    assert [row["d"] for row in back] == ['{"x": 1}', "[1, 2]"]
    assert [row["e"] for row in back] == [True, False]
    assert [row["f"] for row in back] == [None, None]
    assert [row["g"] for row in back] == [None, "no"]


def test_a_column_that_only_some_rows_have_is_null_in_the_others(tmp_path):
    write_table(tmp_path / "sweep.parquet", [{"a": 1}, {"a": 2, "b": 3.0}])
    assert pq.read_table(tmp_path / "sweep.parquet").column("b").to_pylist() == [None, 3.0]


def test_a_variant_that_is_not_complete_has_every_measured_column():
    row = missing_row()
    assert {f"{name}{end}" for name in MEASURED_COLUMNS for end in ("", "_low", "_high")} <= set(row)
    assert set(row.values()) == {None}


def test_only_the_declared_attack_gives_an_auc():
    estimate = Estimate(0.6, 0.5, 0.7, 10, "test")
    surface = SurfaceResult(cas=estimate, attack="global_threshold", auc={"global_threshold": estimate})
    assert of_model(surface, "bavaria_online") == {"accuracy": estimate, "auc": None, "auc_of_runs": None, "aop": None}
    assert of_model(surface, "global_threshold")["auc"] == estimate
