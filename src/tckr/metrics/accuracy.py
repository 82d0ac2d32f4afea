"""Accuracy with intervals: overall (CAS when the images are the locked test split), by class, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.proportions import bonett_price, wilson


def accuracy(correct: np.ndarray, confidence: float) -> Measured:
    """Return the share of `correct` (bool [N]) with its Wilson interval."""
    trials, successes = len(correct), int(correct.sum())
    if trials == 0:
        return NotMeasurable("no images")
    low, high = wilson(successes, trials, confidence)
    return Estimate(successes / trials, low, high, trials, "Wilson interval over images")


def accuracy_by_class(
    labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str], confidence: float
) -> dict[str, Measured]:
    """Return the accuracy on the images of each class; `labels` and `predictions` index `class_names`."""
    correct = labels == predictions
    return {name: accuracy(correct[labels == index], confidence) for index, name in enumerate(class_names)}


def confusion(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts int64 [num_classes, num_classes]: row = true class, column = predicted class."""
    cells = labels * num_classes + predictions
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy_difference(correct: np.ndarray, baseline_correct: np.ndarray, confidence: float) -> Measured:
    """Return accuracy minus baseline accuracy of two models on the same images, with the Bonett-Price interval."""
    n = len(correct)
    if n == 0:
        return NotMeasurable("no images")
    gained, lost = int((correct & ~baseline_correct).sum()), int((~correct & baseline_correct).sum())
    low, high = bonett_price(gained, lost, n, confidence)
    return Estimate((gained - lost) / n, low, high, n, "Bonett-Price interval, paired over images")
