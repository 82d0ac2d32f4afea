"""Every measure equals its closed form, a hand-computed set, or the published formula written out; intervals cover."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import t as student_t

from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.fidelity import (
    GROUPS,
    Moments,
    density_coverage,
    frechet_distance,
    frechet_of_moments,
    kernel_distance,
    measure_fidelity,
    precision_recall,
)
from tckr.metrics.results import FidelityScores
from tests.metrics.coverage import REPETITIONS, at_least

MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "fid": lambda r, s: frechet_distance(r, s, 0.95).value,
    "kid": lambda r, s: kernel_distance(r, s, 0.95).value,
    "precision": lambda r, s: precision_recall(r, s, 0.95)[0].value,
    "recall": lambda r, s: precision_recall(r, s, 0.95)[1].value,
    "density": lambda r, s: density_coverage(r, s, 0.95)[0].value,
    "coverage": lambda r, s: density_coverage(r, s, 0.95)[1].value,
}


def with_moments(mean: np.ndarray, covariance: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Return n points whose sample mean and covariance are exactly these."""
    points = np.random.default_rng(seed).normal(size=(n, len(mean)))
    points -= points.mean(axis=0)
    whitened = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    return mean + whitened @ np.linalg.cholesky(covariance).T


def two_sets(n: int = 60, dimensions: int = 4, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    return generator.normal(size=(n, dimensions)), generator.normal(size=(n, dimensions)) * 0.9 + shift


def test_fid_of_gaussians_with_equal_axes_is_the_sum_over_axes() -> None:
    variances = np.array([4.0, 9.0, 0.25]), np.array([1.0, 16.0, 0.0625])
    first = with_moments(np.array([1.0, 0.0, -2.0]), np.diag(variances[0]), 40)
    second = with_moments(np.array([0.0, 0.0, 1.0]), np.diag(variances[1]), 55, seed=1)
    expected = (1 + 0 + 9) + ((2 - 1) ** 2 + (3 - 4) ** 2 + (0.5 - 0.25) ** 2)
    assert frechet_distance(first, second, 0.95).value == pytest.approx(expected, abs=1e-10)


def test_fid_of_turned_gaussians_is_the_closed_form_in_the_plane() -> None:
    one, other = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[0.5, -0.3], [-0.3, 3.0]])
    first, second = with_moments(np.zeros(2), one, 30), with_moments(np.array([1e3, 1e3]), other, 30, seed=1)
    root = np.sqrt(np.trace(one @ other) + 2 * np.sqrt(np.linalg.det(one @ other)))  # trace of the root of a 2 x 2 matrix
    expected = 2e6 + np.trace(one) + np.trace(other) - 2 * root
    assert frechet_distance(first, second, 0.95).value == pytest.approx(expected, rel=1e-12)


def test_fid_equals_the_published_formula_with_a_general_matrix_root() -> None:
    first, second = two_sets(200, 12)
    covariances = [np.cov(side, rowvar=False) for side in (first, second)]
    gap = first.mean(axis=0) - second.mean(axis=0)
    expected = gap @ gap + np.trace(covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    assert frechet_distance(first, second, 0.95).value == pytest.approx(expected, abs=1e-9)


def test_fid_of_fewer_images_than_dimensions_is_exact_too() -> None:
    first, second = two_sets(30, 80)
    centred = [side - side.mean(axis=0) for side in (first, second)]
    singular = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum() / 29  # trace of the root, by n x n
    gap = first.mean(axis=0) - second.mean(axis=0)
    expected = gap @ gap + sum(np.square(side).sum() / 29 for side in centred) - 2 * singular
    assert frechet_distance(first, second, 0.95).value == pytest.approx(expected, rel=1e-6)
    assert frechet_of_moments(Moments.of(first), Moments.of(first)) == pytest.approx(0, abs=1e-4)


def test_kid_by_hand() -> None:
    zeros, ones = np.zeros((20, 1)), np.ones((20, 1))  # kernel (x y + 1)^3: 1 with a zero, 8 between ones
    assert kernel_distance(zeros, ones, 0.95).value == pytest.approx(1 + 8 - 2 * 1)
    half = np.repeat([[0.0], [1.0]], 10, axis=0)
    among = (10 * 9 * 1 + 10 * 9 * 8 + 2 * 100 * 1) / (20 * 19)
    assert kernel_distance(zeros, half, 0.95).value == pytest.approx(1 + among - 2 * 1)


def test_kid_equals_its_formula_for_sets_of_any_sizes() -> None:
    first, second = two_sets(53)[0], two_sets(37)[1]

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (one @ other.T / 4 + 1) ** 3

    def off_diagonal_mean(found: np.ndarray) -> float:
        return (found.sum() - np.trace(found)) / (len(found) * (len(found) - 1))

    within = off_diagonal_mean(kernel(first, first)) + off_diagonal_mean(kernel(second, second))
    expected = within - 2 * kernel(first, second).mean()
    assert kernel_distance(first, second, 0.95).value == pytest.approx(expected, abs=1e-12)


def test_precision_recall_density_and_coverage_by_hand() -> None:
    reference = np.arange(30.0)[:, None]  # balls: k = 3 reach 2, at the ends 3; k = 5 reach 3, then 4 and 5 at the ends
    samples = np.concatenate([np.full(10, 10.5), np.full(10, 31.9), np.full(10, 32.1)])[:, None]  # all reach 0
    precision, recall = precision_recall(reference, samples, 0.95)
    assert (precision.value, recall.value) == (20 / 30, 0)  # 31.9 lies in the ball of 29 alone
    density, covered = density_coverage(reference, samples, 0.95)
    # 10.5 lies in the balls of 8 to 13; 31.9 and 32.1 in those of 28 (to 32) and 29 (to 34), the last only in that of 29.
    assert density.value == pytest.approx((10 * 6 + 10 * 2 + 10 * 1) / 30 / 5)
    assert covered.value == 8 / 30


def test_the_four_equal_their_published_formulas() -> None:
    reference, samples = two_sets(70)
    across = np.linalg.norm(reference[:, None] - samples[None], axis=2)

    def radii(points: np.ndarray, k: int) -> np.ndarray:
        return np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, k]

    expected = {
        "precision": (across <= radii(reference, 3)[:, None]).any(axis=0).mean(),
        "recall": (across <= radii(samples, 3)[None]).any(axis=1).mean(),
        "density": (across <= radii(reference, 5)[:, None]).sum() / (5 * len(samples)),
        "coverage": (across.min(axis=1) <= radii(reference, 5)).mean(),
    }
    assert {name: MEASURES[name](reference, samples) for name in expected} == pytest.approx(expected)


def test_every_interval_is_that_of_leaving_one_group_of_both_sets_out() -> None:
    reference, samples = two_sets(90)
    found = measure_fidelity(reference, samples, 0.9)
    groups = np.arange(90) % GROUPS
    for name, measure in MEASURES.items():
        values = np.array([measure(reference[groups != group], samples[groups != group]) for group in range(GROUPS)])
        half = student_t.ppf(0.95, GROUPS - 1) * np.sqrt((GROUPS - 1) / GROUPS * np.square(values - values.mean()).sum())
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(measure(reference, samples)), name
        if name in ("fid", "kid", "density"):
            assert estimate.high - estimate.value == pytest.approx(half), name
        else:
            assert min(1, estimate.value + half) - 1e-9 <= estimate.high, name


def test_intervals_cover_the_value_expected_at_that_size() -> None:
    generator = np.random.default_rng(0)
    draws = ((generator.normal(size=(60, 3)), generator.normal(size=(60, 3)) + 0.5) for _ in range(REPETITIONS))
    found = [measure_fidelity(*draw, 0.95) for draw in draws]
    for name in MEASURES:
        estimates = [getattr(scores, name) for scores in found]
        truth = np.mean([estimate.value for estimate in estimates])
        assert sum(estimate.covers(truth) for estimate in estimates) >= at_least(0.92), name


def test_a_share_is_never_without_width() -> None:
    reference, _ = two_sets()
    precision, recall = precision_recall(reference, reference, 0.95)
    assert (precision.value, recall.value) == (1, 1)
    assert precision.low < 1


def test_identical_sets_are_alike_and_far_ones_share_nothing() -> None:
    reference, samples = two_sets()
    same, far = (measure_fidelity(reference, other, 0.95) for other in (reference.copy(), samples + 100))
    assert [getattr(same, name).value for name in ("fid", "precision", "recall", "coverage")] == pytest.approx([0, 1, 1, 1])
    assert [getattr(far, name).value for name in ("precision", "recall", "density", "coverage")] == [0, 0, 0, 0]


def test_too_few_images_are_not_measured() -> None:
    scores = measure_fidelity(np.zeros((19, 2)), np.zeros((50, 2)), 0.95)
    assert set(dict(scores).values()) == {NotMeasurable("fidelity needs 20 images of each side; found 19", 19)}
    assert set(FidelityScores.model_fields) == set(MEASURES)
