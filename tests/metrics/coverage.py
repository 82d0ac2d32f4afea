"""How often an interval covers the truth, and how often it must."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import binom

from tckr.metrics.estimate import Estimate, Measured

REPETITIONS = 400


def coverage(draw: Callable[[np.random.Generator], Measured], truth: float, seed: int = 0) -> int:
    """Return how many of 400 simulated intervals cover `truth`."""
    generator = np.random.default_rng(seed)
    found = [draw(generator) for _ in range(REPETITIONS)]
    assert all(isinstance(each, Estimate) for each in found)
    return sum(each.covers(truth) for each in found if isinstance(each, Estimate))


def at_least(confidence: float = 0.95) -> int:
    """Return the count that an interval of this coverage misses once in 2,000 simulations."""
    return int(binom.ppf(0.0005, REPETITIONS, confidence))


def at_most(confidence: float = 0.95) -> int:
    """Return the count above which an interval is wider than stated."""
    return int(binom.ppf(0.9995, REPETITIONS, confidence))
