from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from tckr.metrics.accuracy import (
    accuracy,
    accuracy_by_class,
    accuracy_difference,
    accuracy_over_largest,
    confusion,
    largest_class,
    mcnemar,
    mean_class_accuracy,
    paired_test,
)
from tckr.metrics.calibration import expected_calibration_error, mean_score, proper_scores
from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.proportions import clopper_pearson, wilson
from tests.metrics.coverage import at_least, at_most, coverage


@pytest.mark.parametrize("truth", [0.001, 0.02, 0.5, 0.97])
def test_clopper_pearson_covers_at_least_its_level_exactly(truth: float) -> None:
    n = 120
    ends = np.array([clopper_pearson(k, n, 0.95) for k in range(n + 1)])
    covered = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    assert binom.pmf(np.arange(n + 1), n, truth)[covered].sum() >= 0.95


def test_proportion_intervals_match_published_values() -> None:
    # Newcombe (1998), table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert clopper_pearson(81, 263, 0.95) == pytest.approx((0.2527, 0.3676), abs=1e-4)
    assert wilson(0, 20, 0.95) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert clopper_pearson(0, 20, 0.95) == pytest.approx((0.0, 0.1684), abs=1e-4)
    assert wilson(0, 0, 0.95) == clopper_pearson(0, 0, 0.95) == (0.0, 1.0)


def test_always_answering_the_largest_class_is_no_balanced_accuracy() -> None:
    labels = np.repeat([0, 1, 2], [71, 20, 9])
    always = np.zeros(100, dtype=np.int64)
    assert accuracy(always == labels, 0.95).value == 0.71
    found = mean_class_accuracy(labels, always, 0.95)
    assert found.value == pytest.approx(1 / 3)
    # by hand: the Wilson intervals reach 0.0513 below 1 of 71, 0.1611 above 0 of 20 and 0.2992 above 0 of 9
    assert found.low == pytest.approx(found.value - 0.0513 / 3, abs=1e-4)
    assert found.high == pytest.approx(found.value + np.hypot(0.1611, 0.2992) / 3, abs=1e-4)
    assert largest_class(labels, ["a", "b", "c"]).model_dump() == {"name": "a", "share": 0.71}


def test_balanced_accuracy_of_few_images_is_covered() -> None:
    sizes, truths = np.array([15, 30, 300]), np.array([0.6, 0.9, 0.95])
    labels = np.repeat(np.arange(3), sizes)

    def draw(generator: np.random.Generator) -> Estimate:
        right = generator.random(len(labels)) < truths[labels]
        return mean_class_accuracy(labels, np.where(right, labels, (labels + 1) % 3), 0.95)

    assert at_least() <= coverage(draw, float(truths.mean())) <= at_most(0.96)


def test_a_model_is_held_against_always_answering_the_largest_class_image_by_image() -> None:
    labels = np.repeat([0, 1], [60, 40])
    answers = np.concatenate([np.repeat([0, 1], [55, 5]), np.repeat([1, 0], [15, 25])])
    found = accuracy_over_largest(labels, answers, 0.95)
    assert found == accuracy_difference(answers == labels, labels == 0, 0.95)
    assert found.value == pytest.approx(0.1)
    same = accuracy_over_largest(labels, np.zeros(100, dtype=np.int64), 0.95)
    assert (same.value, same.covers(0)) == (0, True)


def test_without_images_there_is_no_largest_class() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert largest_class(none, ["a"]) is None
    assert isinstance(mean_class_accuracy(none, none, 0.95), NotMeasurable)
    assert isinstance(accuracy_over_largest(none, none, 0.95), NotMeasurable)


def test_accuracy_is_never_without_width() -> None:
    found = accuracy(np.ones(50, dtype=bool), 0.95)
    assert isinstance(found, Estimate)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.9287, abs=1e-4)
    assert isinstance(accuracy(np.zeros(0, dtype=bool), 0.95), NotMeasurable)


def test_wilson_covers_on_average() -> None:
    generator = np.random.default_rng(5)
    covered = [accuracy(generator.random(360) < p, 0.95).covers(p) for p in generator.uniform(0.6, 0.99, 400)]  # type: ignore[union-attr]
    assert at_least() <= sum(covered) <= at_most()


def test_accuracy_by_class_and_confusion_count_by_hand() -> None:
    labels, predictions = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    found = accuracy_by_class(labels, predictions, ["a", "b", "never"], 0.95)
    assert [getattr(found[name], "value", None) for name in found] == [pytest.approx(2 / 3), 1.0, None]
    assert confusion(labels, predictions, 3).tolist() == [[2, 1, 0], [0, 2, 0], [0, 0, 0]]


@pytest.mark.parametrize(("gain", "loss"), [(0.1, 0.1), (0.05, 0.01), (0.004, 0.0)])
def test_paired_accuracy_difference_covers(gain: float, loss: float) -> None:
    def draw(generator: np.random.Generator) -> Estimate:
        kind = generator.random(360)
        found = accuracy_difference(kind < gain + 0.8, (kind >= gain) & (kind < gain + 0.8 + loss), 0.95)
        assert isinstance(found, Estimate)
        return found

    assert coverage(draw, gain - loss) >= at_least()


def test_models_that_always_agree_still_differ_within_an_interval() -> None:
    correct = np.arange(100) % 10 > 0
    found = accuracy_difference(correct, correct, 0.95)
    assert isinstance(found, Estimate)
    assert found.low < found.value == 0 < found.high


def test_calibration_error_by_hand() -> None:
    confidences = np.array([0.95] * 10 + [0.55] * 10)
    correct = np.array([True] * 9 + [False] + [True] * 3 + [False] * 7)
    found = expected_calibration_error(confidences, correct, 0.95)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx((0.05 + 0.25) / 2)
    certain = expected_calibration_error(np.ones(5), np.ones(5, dtype=bool), 0.95)
    assert isinstance(certain, Estimate)
    assert certain.value == 0


def test_calibration_error_interval_covers_for_a_miscalibrated_model() -> None:
    def draw(generator: np.random.Generator) -> Estimate:
        confidences = generator.uniform(0.75, 1.0, 200)
        found = expected_calibration_error(confidences, generator.random(200) < confidences - 0.15, 0.95)
        assert isinstance(found, Estimate)
        return found

    assert coverage(draw, 0.15) >= at_least(0.93)


def test_calibration_error_needs_memory_for_one_sample_only() -> None:
    generator = np.random.default_rng(0)
    confidences = generator.random(20_000)
    tracemalloc.start()
    expected_calibration_error(confidences, generator.random(20_000) < confidences, 0.95)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_paired_test_by_hand() -> None:
    labels = np.array([0] * 6 + [1] * 4)
    student = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 0])
    teacher = np.array([0, 1, 1, 1, 1, 1, 1, 0, 1, 0])
    found = paired_test(labels, student, teacher, ["a", "b"], 0.95)
    assert (found.num_test, found.both_right, found.only_student, found.only_teacher, found.both_wrong) == (10, 2, 5, 1, 2)
    assert found.p_value == pytest.approx(2 * (1 + 6) / 2**6)  # 1 or fewer heads of 6, either side
    assert isinstance(found.difference, Estimate)
    assert found.difference.value == pytest.approx(0.4)
    assert [getattr(found.by_class[name], "value", None) for name in "ab"] == [pytest.approx(4 / 6), 0.0]


def test_mcnemar_is_the_exact_sign_test_of_the_disagreements() -> None:
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1
    assert mcnemar(0, 6) == mcnemar(6, 0) == pytest.approx(2 / 64)
    for gained, lost in [(1, 9), (40, 61), (7, 8)]:
        assert mcnemar(gained, lost) == pytest.approx(binomtest(gained, gained + lost, 0.5).pvalue)


def test_mcnemar_errs_no_more_often_than_it_says() -> None:
    counts = np.arange(51)
    rejected = np.array([mcnemar(int(gained), 50 - int(gained)) <= 0.05 for gained in counts])
    assert 0.01 < binom.pmf(counts, 50, 0.5)[rejected].sum() <= 0.05


def test_proper_scores_by_hand() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    brier, losses = proper_scores(logits, np.array([0, 1]))
    assert brier == pytest.approx([0.09 + 0.04 + 0.01, 0.0625 + 0.5625 + 0.25])
    assert losses == pytest.approx([-np.log(0.7), -np.log(0.25)])
    assert proper_scores(np.array([[0.0, 2000.0]]), np.array([0]))[1] == 2000  # no logarithm of zero


def test_mean_score_is_the_mean_with_a_t_interval() -> None:
    found = mean_score(np.array([0.0, 1.0, 2.0]), 0.95)
    assert isinstance(found, Estimate)
    assert (found.value, found.low, found.n) == (1, 0, 3)  # 1 -+ 4.303 / sqrt(3), and no score is below 0
    assert found.high == pytest.approx(1 + 4.302653 / 3**0.5, abs=1e-5)
    assert coverage(lambda g: mean_score(g.exponential(size=300), 0.95), 1.0) >= at_least(0.93)
    assert isinstance(mean_score(np.ones(1), 0.95), NotMeasurable)
