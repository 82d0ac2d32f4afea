"""A classifier's outputs for the views of a record, averaged into its signal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tckr.data.images import ImageSet
from tckr.membership.queries.confidence import Signal
from tckr.membership.queries.views import views
from tckr.models.classifiers import AnyClassifier, class_columns, predict_logits


def record_answers(
    classifier: AnyClassifier,
    records: ImageSet,
    class_names: list[str],
    signal: Signal,
    *,
    shift: int,
    flip: bool,
    batch_size: int,
    advance: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Return every record's signal averaged over its views, float64 [N], and whether the plain view is right, bool [N]."""
    columns = class_columns(classifier.class_names, class_names)
    signals, correct = np.empty(len(records)), np.empty(len(records), dtype=bool)
    for start in range(0, len(records), batch_size):
        rows = slice(start, start + batch_size)
        labels = records.labels[rows]
        logits = [
            predict_logits(classifier, np.ascontiguousarray(view), batch_size=batch_size)[:, columns]
            for view in views(np.asarray(records.images[rows]), shift, flip)
        ]
        signals[rows] = np.mean([signal(each, labels) for each in logits], axis=0)
        correct[rows] = logits[0].argmax(axis=1) == labels
        advance(len(labels))
    return signals, correct
