"""Accuracy with intervals: overall (CAS when the images are the locked test split), by class, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.proportions import bonett_price, wilson
from tckr.metrics.results import LargestClass, PairedTest


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


def mean_class_accuracy(labels: np.ndarray, predictions: np.ndarray, confidence: float) -> Measured:
    """Return the balanced accuracy: the mean over the classes in `labels` of the accuracy on the images of each.

    The interval recovers the variance of the mean from the Wilson interval of every class (MOVER; Zou and Donner 2008).
    Small classes make it wide, and it has a positive width even if every image is right.
    """
    correct = labels == predictions
    parts = np.array([_value_and_ends(correct[labels == label], confidence) for label in np.unique(labels)])
    if not len(parts):
        return NotMeasurable("no images")
    value, (below, above) = float(parts[:, 0].mean()), np.linalg.norm(parts[:, 1:], axis=0) / len(parts)
    method = f"mean over {len(parts)} classes, MOVER of their Wilson intervals"
    return Estimate(value, max(0.0, value - float(below)), min(1.0, value + float(above)), len(labels), method)


def _value_and_ends(correct: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Return the share of `correct` and the distances of the ends of its Wilson interval."""
    value = float(correct.mean())
    low, high = wilson(value * len(correct), len(correct), confidence)
    return value, value - low, high - value


def largest_class(labels: np.ndarray, class_names: Sequence[str]) -> LargestClass | None:
    """Return the class with the most images (the first one of ties) and its share; None without images."""
    if not len(labels):
        return None
    counts = np.bincount(labels)
    return LargestClass(name=class_names[int(counts.argmax())], share=float(counts.max() / len(labels)))


def accuracy_over_largest(labels: np.ndarray, predictions: np.ndarray, confidence: float) -> Measured:
    """Return the accuracy minus that of always predicting the largest class, on the same images."""
    always = labels == (np.bincount(labels).argmax() if len(labels) else 0)
    return accuracy_difference(labels == predictions, always, confidence)


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


def paired_test(
    labels: np.ndarray, student: np.ndarray, teacher: np.ndarray, class_names: Sequence[str], confidence: float
) -> PairedTest:
    """Compare the predictions of two models on the same images; `labels` and predictions index `class_names`."""
    ours, theirs = student == labels, teacher == labels
    gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return PairedTest(
        num_test=len(labels),
        both_right=int((ours & theirs).sum()),
        only_student=gained,
        only_teacher=lost,
        both_wrong=int((~ours & ~theirs).sum()),
        difference=accuracy_difference(ours, theirs, confidence),
        p_value=mcnemar(gained, lost),
        by_class={
            name: accuracy_difference(ours[labels == index], theirs[labels == index], confidence)
            for index, name in enumerate(class_names)
        },
    )


def mcnemar(gained: int, lost: int) -> float:
    """Return the p-value of the exact two-sided McNemar test (1947): under the null, disagreements are fair coin tosses."""
    return min(1.0, 2 * float(binom.cdf(min(gained, lost), gained + lost, 0.5)))
