"""The published figures are shipped completely and are consistent."""

from __future__ import annotations

import itertools

import pytest

from tckr.reproduction.benchmarks import BENCHMARKS, CARDINALITIES, FRACTIONS
from tckr.reproduction.published import ablation, results

PUBLISHED = [benchmark.name for benchmark in BENCHMARKS.values() if benchmark.name != "digits"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_benchmark_has_a_teacher_and_six_students(name):
    figures = results(name)
    assert [figure.model for figure in figures] == ["teacher"] + ["student"] * 6
    assert tuple(figure.cardinality for figure in figures[1:]) == CARDINALITIES
    for figure in figures:  # AOP = CAS / (2 max(AUC, 0.5))^2 (Resmini et al. 2025)
        assert figure.aop == pytest.approx(figure.cas / (2 * max(figure.auc, 0.5)) ** 2, abs=2e-4)


def test_the_means_are_those_of_the_headline():
    def mean(size, name):
        found = [getattr(figure, name) for one in PUBLISHED for figure in results(one) if figure.cardinality == size]
        return 100 * sum(found) / len(found)

    steps = [mean(after, "cas") - mean(before, "cas") for before, after in itertools.pairwise(CARDINALITIES)]
    assert steps == pytest.approx([6.42, 8.30, 1.78, 0.25, 0.20], abs=0.006)


def test_the_ablation_has_twelve_cells_on_the_four_sets_that_have_one():
    for benchmark in BENCHMARKS.values():
        cells = ablation(benchmark.name)
        expected = 12 if benchmark.ablation_grids and benchmark.name != "digits" else 0
        assert len({(cell.prompt, cell.labels, cell.fraction) for cell in cells}) == len(cells) == expected
        assert {cell.fraction for cell in cells} <= set(FRACTIONS)


def test_the_digits_have_no_published_figure():
    assert results("digits") == []
    assert ablation("digits") == []
