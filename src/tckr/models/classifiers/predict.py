"""Run a classifier over many images, holding one batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from tckr.data.transforms import to_device
from tckr.models.classifiers.ensemble import AnyClassifier


def predict_logits(
    classifier: AnyClassifier,
    images: np.ndarray,
    *,
    batch_size: int,
    rows: np.ndarray | None = None,
    advance: Callable[[int], None] = lambda amount: None,
) -> np.ndarray:
    """Return float32 logits [N, K] in evaluation mode, computed where the classifier is.

    Args:
        classifier: left in evaluation mode.
        images: uint8 [M, H, W, 3]; may be a memory map.
        batch_size: images per forward pass.
        rows: int64 [N], which images, in this order; None takes all.
        advance: called with the number of images of each finished batch.
    """
    classifier.eval()
    rows = np.arange(len(images)) if rows is None else rows
    logits = np.empty((len(rows), len(classifier.class_names)), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            logits[start : start + len(batch)] = classifier(to_device(images[batch], classifier.device)).cpu().numpy()
            advance(len(batch))
    return logits
