"""Calibration: the difference of a model's confidence and accuracy, and two proper scores of its probabilities."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax
from scipy.stats import t as student_t

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable

NUM_RESAMPLES = 500


def expected_calibration_error(
    confidences: np.ndarray, correct: np.ndarray, confidence: float, num_bins: int = 15
) -> Measured:
    """Return ECE with equal-width bins (Guo et al. 2017, eq. 3) and a basic bootstrap interval over images.

    ECE is biased upwards by the noise of each bin's accuracy, and a resample is biased in the same way. The basic interval
    (2 value - quantiles) corrects this bias, so the value may be above the middle of its interval.

    Args:
        confidences: probability of the predicted class, [N] in [0, 1].
        correct: whether the prediction was right, bool [N].
        confidence: level of the interval.
        num_bins: bins of equal width over [0, 1].
    """
    n = len(correct)
    if n == 0:
        return NotMeasurable("no images")
    bins = np.minimum((confidences * num_bins).astype(int), num_bins - 1)
    gaps = confidences - correct
    value = _bin_error(bins, gaps, num_bins)
    generator = np.random.default_rng(0)
    draws = (generator.integers(n, size=n) for _ in range(NUM_RESAMPLES))  # one at a time, so memory is O(N)
    resampled = [_bin_error(bins[draw], gaps[draw], num_bins) for draw in draws]
    tail = (1 - confidence) / 2
    low, high = 2 * value - np.quantile(resampled, [1 - tail, tail])
    return Estimate(value, float(np.clip(low, 0, value)), float(np.clip(high, value, 1)), n, "basic bootstrap over images")


def _bin_error(bins: np.ndarray, gaps: np.ndarray, num_bins: int) -> float:
    """Return the calibration error of one sample."""
    return float(np.abs(np.bincount(bins, weights=gaps, minlength=num_bins)).sum() / len(bins))


def proper_scores(logits_NK: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, per image, Brier score (Brier 1950: squared errors summed over classes, 0 to 2) and log loss in nats."""
    log_probabilities = log_softmax(logits_NK.astype(np.float64), axis=1)
    errors = np.exp(log_probabilities)
    errors[np.arange(len(labels)), labels] -= 1
    return np.square(errors).sum(axis=1), -log_probabilities[np.arange(len(labels)), labels]


def mean_score(scores: np.ndarray, confidence: float) -> Measured:
    """Return the mean of non-negative scores, with a t-interval over images."""
    n = len(scores)
    if n < 2:
        return NotMeasurable("an interval over images needs two images", n)
    value = float(scores.mean())
    half = float(student_t.ppf((1 + confidence) / 2, n - 1) * scores.std(ddof=1) / n**0.5)
    return Estimate(value, max(0.0, value - half), value + half, n, "t-interval over images")
