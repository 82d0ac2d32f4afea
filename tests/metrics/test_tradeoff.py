from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tckr.metrics.accuracy import accuracy
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import auc
from tckr.metrics.tradeoff import accuracy_over_privacy
from tests.metrics.coverage import at_least, coverage
from tests.metrics.test_membership import gaussian


def test_aop_by_hand() -> None:
    cas = Estimate(0.9, 0.88, 0.92, 500, "m")
    found = accuracy_over_privacy(cas, Estimate(0.6, 0.57, 0.63, 1000, "m"), 2)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(0.9 / 1.2**2)
    assert found.low < found.value < found.high
    safe = accuracy_over_privacy(cas, Estimate(0.45, 0.42, 0.48, 1000, "m"), 2)
    assert isinstance(safe, Estimate)
    assert (safe.value, safe.low, safe.high) == pytest.approx((0.9, 0.88, 0.92))


@pytest.mark.parametrize(("cas", "leak"), [(0.9, 0.5), (0.9, 0.52), (0.7, 0.65), (0.97, 0.95)])
def test_aop_interval_covers(cas: float, leak: float) -> None:
    def draw(generator: np.random.Generator) -> Measured:
        found = auc(*gaussian(generator, norm.ppf(leak) * 2**0.5, 400, 400), 0.95)
        return accuracy_over_privacy(accuracy(generator.random(360) < cas, 0.95), found, 2)

    assert coverage(draw, cas / (2 * leak) ** 2) >= at_least()


def test_aop_at_the_extremes() -> None:
    nothing = accuracy_over_privacy(Estimate(0.0, 0.0, 0.1, 30, "m"), Estimate(1.0, 0.9, 1.0, 40, "m"), 2)
    assert isinstance(nothing, Estimate)
    assert nothing.value == nothing.low == 0 < nothing.high
    some = accuracy_over_privacy(Estimate(0.1, 0.0, 0.3, 30, "m"), Estimate(0.6, 0.4, 0.7, 40, "m"), 2)
    assert isinstance(some, Estimate)
    assert some.low == 0
    assert isinstance(accuracy_over_privacy(NotMeasurable("x"), NotMeasurable("y"), 2), NotMeasurable)
