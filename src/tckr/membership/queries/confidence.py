"""Signals: one number per record from a model's output for one view of it.

Shape suffixes: N records, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

Signal = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(logits_NK, labels_N) -> float64 [N], higher = the model is more confident in the record's label."""


def logit_confidence(logits_NK: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """Return log p_y - log(1 - p_y), which is nearly Gaussian over models (Carlini et al. 2022, section VI-A).

    With p = softmax(logits) it equals z_y - logsumexp of the other logits: it is exact in float64 even if p_y is very close
    to 0 or 1.
    """
    logits = logits_NK.astype(np.float64)
    rows = np.arange(len(labels_N))
    of_label = logits[rows, labels_N]
    logits[rows, labels_N] = -np.inf
    return of_label - logsumexp(logits, axis=1)
