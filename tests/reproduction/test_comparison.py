"""Ours beside the published figures: differences, missing numbers, tables, figures."""

from __future__ import annotations

import pytest

from tckr.engine.folders import Folder, Kind
from tckr.reproduction.benchmarks import benchmark
from tckr.reproduction.comparison import compare_ablation, compare_results, comparison_rows
from tckr.reproduction.pages import Reproduced, ablation_cells, figures, result_cells, write_results
from tckr.reproduction.published import ablation, results
from tckr.sweep.frontier import frontier
from tckr.sweep.table import read_table
from tests.sweep.test_frontier import row

ROWS = [
    {**row(size, seed, 0.9, test, auc), "teacher_auc": auc, "teacher_auc_low": auc, "teacher_auc_high": auc}
    | {"teacher_aop": 0.8, "teacher_aop_low": 0.8, "teacher_aop_high": 0.8}
    for size, test in ((0.1, 0.90), (1.0, 0.95))
    for seed, auc in ((0, 0.55), (1, None))
]
ABLATED = [
    {**row(0.1, seed, 0.9, 0.88 + seed / 100), "adapt.prompt_form": "n: c", "distill.labels": labels, "adapt.fraction": 0.1}
    for seed in (0, 1)
    for labels in ("online", "hard")
]


def found(name: str) -> Reproduced:
    made = frontier(ROWS, {})
    return Reproduced(
        benchmark=benchmark(name),
        frontier=made,
        results=compare_results(made, ROWS, results(name)),
        ablation=compare_ablation(ABLATED, ablation(name)),
        left_out="",
    )


def test_each_number_stands_beside_the_published_one_with_its_difference():
    rows = {one.cardinality: one.measures for one in found("CIFAR10").results}
    assert rows[0.1]["cas"].difference == pytest.approx(0.90 - 0.9028)
    assert rows[1.0]["auc"].difference == pytest.approx(0.55 - 0.5253)
    assert rows[None]["cas"].difference == pytest.approx(0.9 - 0.9752)
    assert (rows[20.0]["cas"].ours, rows[20.0]["cas"].published) == (None, pytest.approx(0.9733))


def test_labels_given_anew_on_every_view_are_the_published_soft_labels():
    cells = {(cell.prompt, cell.labels, cell.fraction): cell.cas for cell in found("CIFAR10").ablation}
    assert cells["n: c", "soft", 0.1].difference == pytest.approx(0.885 - 0.8809)
    assert cells["n: c", "hard", 0.1].ours.n == 2
    assert cells["n: d", "hard", 0.02].ours is None


def test_without_published_figures_there_is_no_such_column():
    ours = result_cells(found("digits"))
    assert ours[0] == ["", "CAS, %", "attack AUC", "AOP"]
    assert [line[0] for line in ours[1:]] == ["Teacher", "Student 0.1x", "Student 1x"]
    assert result_cells(found("CIFAR10"))[0][1:4] == ["CAS, %", "published", "difference"]


def test_the_pages_are_written_with_the_published_figures_for_our_runs(tmp_path):
    write_results(Folder(tmp_path, Kind.RESULTS), found("CIFAR10"))
    drawn = {path.name for path in tmp_path.glob("*.svg")}
    assert drawn == {"cas.svg", "auc.svg", "aop.svg", "frontier.svg", "ablation.svg"}
    assert "Student, published" in (tmp_path / "cas.svg").read_text()
    assert "measured differently" in (tmp_path / "results.md").read_text()
    assert "<svg" in (tmp_path / "results.html").read_text()
    table = read_table(tmp_path / "results.parquet")
    expected = comparison_rows(found("CIFAR10").results, found("CIFAR10").ablation)
    assert [{name: row[name] for name in wanted} for row, wanted in zip(table, expected, strict=True)] == expected
    assert "published" not in str(figures(found("digits"))["cas.svg"])


def test_the_ablation_has_a_row_per_prompt_and_labels_and_a_column_per_share():
    cells = ablation_cells(found("CIFAR10"))
    assert cells[0] == ["prompt", "labels", "1/50", "1/20", "1/10", "1"]
    assert [line[:2] for line in cells[1:]] == [["n: c", "hard"], ["n: c", "soft"], ["n: d", "hard"]]
    assert cells[2][4] == "88.5 [82.1, 94.9] (published 88.1)"
