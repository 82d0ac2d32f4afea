"""The knee is chosen on validation accuracy by a fixed rule; gains are paired by seed."""

from __future__ import annotations

import math

import pytest

from tckr.sweep.frontier import CARDINALITY, frontier, frontiers, mean_over, standard_error
from tckr.sweep.page import frontier_cells, gap_sentence, mean_cells, pages
from tckr.sweep.table import missing_row


def row(size: float, seed: int, validation: float, test: float, auc: float | None = None) -> dict:
    teacher = 0.9
    measured = {"student_validation_accuracy": validation, "student_accuracy": test, "teacher_accuracy": teacher}
    measured |= {"student_auc": auc, "student_aop": auc and test, "student_minus_teacher": test - teacher}
    ends = {f"{name}_{end}": value for name, value in measured.items() for end in ("low", "high")}
    seconds = {"seconds": 10.0 * size + 5, "seconds_audit": 4.0, "seconds_report": 1.0}
    place = {CARDINALITY: size, "seed": seed, "state": "complete", "num_validation": 100, "num_test": 200}
    return missing_row() | measured | ends | seconds | place


def three_sizes(validations, tests, aucs=(None, None, None)):
    return [
        row(size, seed, validation, test + seed / 1000, auc)
        for size, validation, test, auc in zip((0.1, 1, 5), validations, tests, aucs, strict=True)
        for seed in (0, 1)
    ]


def test_the_knee_is_the_smallest_within_one_standard_error_of_the_best():
    rows = three_sizes((0.5, 0.88, 0.9), (0.1, 0.1, 0.99))
    assert standard_error(rows[-2:]) == pytest.approx(math.sqrt(92 * 12 / 104**3))  # 0.031: two seeds share images
    assert frontier(rows, {}).knee == 1
    assert frontier(three_sizes((0.5, 0.86, 0.9), (0.1, 0.1, 0.99)), {}).knee == 5


def test_test_accuracy_takes_no_part_in_the_choice():
    chosen = {frontier(three_sizes((0.5, 0.9, 0.9), tests), {}).knee for tests in ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9))}
    assert chosen == {1}


def test_the_standard_error_is_the_larger_of_that_over_seeds_and_that_over_images():
    rows = [row(1, 0, 0.5, 0.5), row(1, 1, 0.9, 0.5)]
    assert standard_error(rows) == pytest.approx(0.2)


def test_gains_are_paired_by_seed():
    rows = [row(1, 0, 0.5, 0.30), row(1, 1, 0.5, 0.70), row(5, 1, 0.5, 0.72), row(5, 0, 0.5, 0.31), row(5, 2, 0.5, 0.0)]
    gain = frontier(rows, {}).at(5).accuracy_gain
    assert (gain.value, gain.n) == (pytest.approx(0.015), 2)
    half = 12.706204736 * 0.005  # t quantile of one degree of freedom times the standard error
    assert (gain.low, gain.high) == (pytest.approx(0.015 - half), pytest.approx(0.015 + half))


def test_the_sentence_says_what_the_next_step_buys_and_costs():
    found = frontier(three_sizes((0.5, 0.9, 0.9), (0.5, 0.9, 0.903), (0.5, 0.52, 0.56)), {})
    assert found.sentence == "1x is the knee: 5x gains 0.3 points [0.3, 0.3] for +0.040 AUC [0.040, 0.040]."
    loses = frontier(three_sizes((0.5, 0.9, 0.9), (0.5, 0.9, 0.88)), {})
    assert loses.sentence == "1x is the knee: 5x gains -2.0 points [-2.0, -2.0]."
    single = frontier([row for row in three_sizes((0.5, 0.9, 0.9), (0.5, 0.9, 0.9)) if row["seed"] == 0], {})
    assert single.sentence == "1x is the knee: 5x gains 0.0 points (one pair of runs, no interval)."
    best_is_last = frontier(three_sizes((0.5, 0.7, 0.9), (0.5, 0.9, 0.88)), {})
    assert best_is_last.sentence.startswith("No knee: 5x, the largest")


def test_seconds_are_without_the_audit():
    assert frontier(three_sizes((0.5, 0.9, 0.9), (0.5, 0.9, 0.9)), {}).at(1).seconds == pytest.approx(10.0)


def test_auc_and_gap_come_from_the_runs_that_have_them():
    rows = [row(1, 0, 0.9, 0.8, 0.55), row(1, 1, 0.9, 0.9), row(5, 0, 0.5, 0.7, 0.6), row(5, 1, 0.5, 0.7)]
    found = frontier(rows, {})
    assert (found.at(1).auc.value, found.at(1).num_audited, found.at(1).num_runs) == (0.55, 1, 2)
    assert found.at(5).auc_gain.value == pytest.approx(0.05)
    assert (found.best, found.gap.value, found.gap.n) == (1, pytest.approx(-0.05), 2)


def test_a_student_that_was_audited_twice_counts_once():
    once = [row(size, seed, 0.5 + seed / 10, 0.5 + seed / 10, 0.6) for size in (1, 5) for seed in (0, 1)]
    twice = [{**one, "num_reference_runs": runs, "student_auc": auc} for one in once for runs, auc in ((0, None), (8, 0.6))]
    alone, doubled = frontier(once, {}), frontier(twice, {})
    assert (doubled.at(1).accuracy, doubled.gap) == (alone.at(1).accuracy, alone.gap)
    assert (doubled.at(1).num_runs, doubled.at(1).num_audited, doubled.at(5).auc_gain.n) == (2, 2, 2)


def test_seeds_that_share_test_images_do_not_make_their_error_smaller():
    rows = [row(size, seed, 0.9, 0.8 + seed / 100) for size in (1, 5) for seed in (0, 1)]
    for one in rows:
        for name, half in (("student_accuracy", 0.03), ("student_minus_teacher", 0.02)):
            one |= {f"{name}_low": one[name] - half, f"{name}_high": one[name] + half}
    found, over_seeds = frontier(rows, {}), 12.706204736 * 0.005
    assert found.at(1).accuracy.high == pytest.approx(0.805 + math.hypot(over_seeds, 0.03))
    assert found.gap.low == pytest.approx(-0.095 - math.hypot(over_seeds, 0.02))


def test_an_interval_over_seeds_is_on_no_side_narrower_than_that_of_a_run():
    rows = [row(size, seed, 0.9, 1.0) | {"student_accuracy_low": 0.989} for size in (1, 5) for seed in (0, 1)]
    assert frontier(rows, {}).at(1).accuracy.low == pytest.approx(0.989)


def test_a_row_says_what_is_of_fewer_runs_and_how_far_the_student_is_from_its_teacher():
    rows = [row(1, 0, 0.9, 0.8, 0.55), row(1, 1, 0.9, 0.8), row(5, 0, 0.5, 0.7, 0.6), row(5, 1, 0.5, 0.7)]
    head, *cells = frontier_cells(frontier(rows, {}))
    assert cells[1][head.index("minus Teacher")] == "-20.0"
    assert cells[1][head.index("AUC")] == "0.600 (1 of 2 runs)"
    assert cells[1][head.index("AUC") + 1] == "0.050 (one pair)"


def test_equal_means_are_equal_in_whichever_order_they_were_summed():
    values = {1: (137 / 140,) * 3, 5: (1.0, 1.0, 131 / 140)}
    assert sum(values[1]) / 3 != sum(values[5]) / 3
    rows = [row(size, seed, value, 0.9) for size, three in values.items() for seed, value in enumerate(three)]
    assert frontier(rows, {}).best == 1


def test_a_student_that_is_right_on_all_validation_images_has_a_standard_error():
    assert standard_error([row(1, seed, 1.0, 0.9) for seed in (0, 1)]) == pytest.approx(math.sqrt(102 * 2 / 104**3))
    assert frontier(three_sizes((0.5, 0.99, 1.0), (0.5, 0.9, 0.9)), {}).knee == 1


def test_other_settings_have_means_over_seeds():
    rows = [
        {**row(1, seed, 0.9, accuracy + seed / 100, 0.6 if seed == 0 else None), "distill.model": model}
        for model, accuracy in (("small", 0.8), ("large", 0.9))
        for seed in (0, 1)
    ]
    head, *cells = mean_cells(rows, ["distill.model", "seed"])
    assert head[:2] == ["model", "runs"]
    assert [(one[0], one[1], one[3]) for one in cells] == [
        ("small", "2", "80.5 [74.1, 86.9]"),
        ("large", "2", "90.5 [84.1, 96.9]"),
    ]
    assert cells[0][5] == "0.600 (1 of 2 runs)"
    found = pages("tiny", [one | {"failure": None, "seconds_added": 1.0} for one in rows], ["distill.model", "seed"])
    for page in ("sweep.md", "sweep.html"):
        assert "80.5 [74.1, 86.9]" in found[page]
    assert mean_cells(rows, ["distill.model"]) == []
    assert mean_cells(rows, ["distill.model", CARDINALITY, "seed"])  # of one cardinality there is no frontier
    assert mean_cells(three_sizes((0.5, 0.9, 0.9), (0.5, 0.9, 0.9)), [CARDINALITY, "seed"]) == []


def test_there_is_a_frontier_for_each_combination_of_the_other_settings():
    rows = [{**row(size, 0, 0.9, 0.9), "distill.labels": kind} for size in (1, 5) for kind in ("soft", "hard")]
    rows.append({**row(20, 0, 0.9, 0.9), "distill.labels": "soft", "state": "failed"})
    found = frontiers(rows, [CARDINALITY, "distill.labels", "seed", "audit.depth"])
    assert [one.fixed for one in found] == [{"distill.labels": "soft"}, {"distill.labels": "hard"}]
    assert [len(one.points) for one in found] == [2, 2]
    assert frontiers(rows, ["seed"]) == []
    assert frontiers(rows[:1], [CARDINALITY, "distill.labels"]) == []


def test_the_t_interval_is_the_textbook_one():
    found = mean_over([1.0, 2.0, 3.0])
    assert (found.value, found.high - found.value) == (2.0, pytest.approx(4.302652730 / math.sqrt(3)))


def test_a_number_that_no_run_has_is_missing_and_takes_no_other_with_it():
    rows = three_sizes((0.5, 0.9, 0.9), (0.5, 0.9, 0.9), (0.5, 0.52, 0.56))
    for one in rows:
        one["student_aop"] = None
    found = frontier(rows, {})
    assert (found.at(1).auc.value, found.at(1).aop) == (pytest.approx(0.52), None)


@pytest.mark.parametrize(("num_test", "said"), [(200, "no measurable difference"), (16, "too few test images to tell")])
def test_few_test_images_are_never_called_no_difference(num_test, said):
    rows = [row(size, 0, 0.9, 0.9) | {"num_test": num_test} for size in (1, 5)]
    assert gap_sentence(frontier(rows, {})).endswith(f": {said}.")
