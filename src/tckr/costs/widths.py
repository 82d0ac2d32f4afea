"""Precision that reference runs add: expected interval widths if nothing leaks.

If something leaks, the interval of the target is narrower.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from tckr.membership.analyses import BLOCKS, MOST_LEFT_OUT
from tckr.membership.family import POWER
from tckr.metrics.proportions import critical_value

REFERENCE_RUNS = (4, 8, 16, 64, 256)
"""Numbers of reference runs that a plan compares."""

FACTORS = {5: 4.07, 9: 5.55, 17: 8.0, 32: 9.8, 33: 1.49, 65: 1.8, 257: 2.4}
"""Runs -> variance of their mean AUC as the audit's interval estimates it if nothing leaks, times the number of runs and in
units of one run's variance; 1 = independent runs. The default attack fits its parameters on the other runs, so the runs
are dependent. Simulated by `benchmarks/widths.py`: seed 0, with 1 for 17 runs and 1 to 3 for 257."""


STATISTICS = 50
"""Divisor of the family-wise level for one statistic. An audit has more statistics, many of them correlated: at depth `full`
they count as about 20, below it, with the checks of the shared generator, as about 80."""


def auc_spread(num_members: int, num_others: int) -> float:
    """Return the standard deviation of one run's AUC if nothing leaks: that of the Mann-Whitney statistic (1947)."""
    return ((num_members + num_others + 1) / (12 * num_members * num_others)) ** 0.5


def target_width(num_members: int, num_others: int, confidence: float) -> float:
    """Return the expected width of the AUC's interval over records, which does not depend on reference runs."""
    return 2 * critical_value(confidence) * auc_spread(num_members, num_others)


def mean_width(num_members: int, num_others: int, num_runs: int, confidence: float) -> float:
    """Return the expected width of the t-interval of the mean AUC over the target and `num_runs` reference runs.

    This predicts the interval of `analyses.mean_over_runs` with the default scorer: its average variance (`FACTORS`,
    interpolated linearly in the logarithm of the number of runs) and its quantile.
    """
    runs = num_runs + 1
    known = [number for number in FACTORS if (number <= MOST_LEFT_OUT) == (runs <= MOST_LEFT_OUT)]
    factor = float(np.interp(np.log(runs), np.log(known), [FACTORS[number] for number in known]))
    return 2 * quantile_over(runs, confidence) * auc_spread(num_members, num_others) * (factor / runs) ** 0.5


def quantile_over(runs: int, confidence: float) -> float:
    """Return the quantile of Student's t used by the interval over `runs` runs."""
    freedom = runs - 1 if runs <= MOST_LEFT_OUT else BLOCKS - 1
    return float(student_t.ppf((1 + confidence) / 2, freedom))


def detectable_auc(num_members: int, num_others: int, num_runs: int, family_level: float) -> float:
    """Return the AUC of the target and of every reference run that 80 of 100 audits detect on a surface with references.

    The statistic is that of all runs together (`family`): run r is attacked with the k runs after it, the target with all
    runs, and its z-score has the weight sqrt(k). The level is the family's level divided by `STATISTICS`. Not included: an
    attack with few references is weaker, so the same training then has a smaller AUC.
    """
    references = np.arange(2, max(2, num_runs) + 1)
    spread = auc_spread(num_members, num_others) * float(references.sum() ** 0.5 / np.sqrt(references).sum())
    return min(1.0, 0.5 + spread * float(norm.isf(family_level / STATISTICS) + norm.ppf(POWER)))


def smallest_rate(num_others: int) -> float:
    """Return the lowest FPR at which a TPR can be measured: one non-member out of all."""
    return 1 / num_others


def numbers_to_compare(configured: int) -> list[int]:
    """Return the numbers of reference runs in a plan, with the configured one if it gives an interval over runs."""
    return sorted({*REFERENCE_RUNS, *([configured] if configured else [])})
