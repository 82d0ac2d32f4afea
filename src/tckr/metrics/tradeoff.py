"""Accuracy over privacy (AOP): one number for the tradeoff of a model's accuracy and leakage."""

from __future__ import annotations

import numpy as np

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable


def accuracy_over_privacy(cas: Measured, auc: Measured, exponent: float) -> Measured:
    """Return AOP = CAS / (2 max(AUC, 0.5)) ** exponent (Resmini et al. 2025) with its interval.

    CAS and AUC are measured on different images, so their intervals are combined as independent: MOVER on the logarithm (Zou
    and Donner 2008). The distance from AUC to its lower end is not cut at 0.5 (with the cut, the interval covers 84 % if
    nothing leaks); instead the upper end is limited to that of CAS, which AOP cannot exceed. AOP is not a privacy guarantee.
    """
    if isinstance(cas, NotMeasurable) or isinstance(auc, NotMeasurable):
        return cas if isinstance(cas, NotMeasurable) else auc
    leak, leak_high = 2 * max(auc.value, 0.5), 2 * max(auc.high, 0.5)
    leak_low = 2 * auc.low if auc.value > 0.5 else leak
    value, n = cas.value / leak**exponent, min(cas.n, auc.n)
    method = "MOVER on the logarithm, from CAS over images and AUC over records"
    if cas.value == 0:
        return Estimate(0.0, 0.0, cas.high, n, method)
    below = np.hypot(_log(cas.value) - _log(cas.low), exponent * (_log(leak_high) - _log(leak)))
    above = np.hypot(_log(cas.high) - _log(cas.value), exponent * min(_log(leak) - _log(leak_low), 100.0))
    return Estimate(value, value * float(np.exp(-below)), min(cas.high, value * float(np.exp(above))), n, method)


def _log(number: float) -> float:
    return float(np.log(number)) if number > 0 else -np.inf
