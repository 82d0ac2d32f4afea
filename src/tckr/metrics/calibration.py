"""Expected calibration error: how far a model's confidence is from its accuracy."""

from __future__ import annotations

import numpy as np

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable

NUM_RESAMPLES = 500


def expected_calibration_error(
    confidences: np.ndarray, correct: np.ndarray, confidence: float, num_bins: int = 15
) -> Measured:
    """Return ECE with equal-width bins (Guo et al. 2017, eq. 3) and a basic bootstrap interval over images.

    ECE is biased upwards by the noise of each bin's accuracy, and a resample is biased in the same way; the basic interval
    (2 value - quantiles) takes that bias back, so the value may lie above the middle of its interval.

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
    draws = (generator.integers(n, size=n) for _ in range(NUM_RESAMPLES))  # one at a time: memory stays O(N)
    resampled = [_bin_error(bins[draw], gaps[draw], num_bins) for draw in draws]
    tail = (1 - confidence) / 2
    low, high = 2 * value - np.quantile(resampled, [1 - tail, tail])
    return Estimate(value, float(np.clip(low, 0, value)), float(np.clip(high, value, 1)), n, "basic bootstrap over images")


def _bin_error(bins: np.ndarray, gaps: np.ndarray, num_bins: int) -> float:
    """Return the calibration error of one sample."""
    return float(np.abs(np.bincount(bins, weights=gaps, minlength=num_bins)).sum() / len(bins))
