"""Run a classifier over many images, with one batch in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch

from tckr.data.transforms import to_device
from tckr.models.classifiers.ensemble import AnyClassifier
from tckr.models.memory import BatchLimit


def predict_logits(
    classifier: AnyClassifier,
    images: np.ndarray,
    *,
    batch_size: int,
    rows: np.ndarray | None = None,
    advance: Callable[[int], None] = lambda amount: None,
) -> np.ndarray:
    """Return float32 logits [N, K] in evaluation mode, computed on the classifier's device.

    Args:
        classifier: left in evaluation mode.
        images: uint8 [M, H, W, 3]; may be a memory map.
        batch_size: images per forward pass; fewer, with a warning, after memory ran out.
        rows: int64 [N], indices of the images, in this order; None = all.
        advance: called with the number of images of each finished batch.
    """
    classifier.eval()
    rows = np.arange(len(images)) if rows is None else rows
    logits = np.empty((len(rows), len(classifier.class_names)), dtype=np.float32)

    def predict(part: range) -> range:
        batch = images[rows[part.start : part.stop]]
        logits[part.start : part.stop] = classifier(to_device(batch, classifier.device)).cpu().numpy()
        return part

    limit = BatchLimit(batch_size)
    with torch.inference_mode():
        for part in limit.split(predict, len(rows)):
            advance(len(part))
    if limit.size < batch_size:
        warnings.warn(f"memory ran out: {limit.size} images per pass instead of {batch_size}", RuntimeWarning, stacklevel=2)
    return logits
