"""What reference runs buy: widths of the intervals to expect where nothing leaks.

Leakage makes the interval of the target narrower.
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


STATISTICS = 50
"""By which the family's level is divided for one statistic. An audit has more, many of them alike: at depth `full` they
count as about 20, below it, with the checks of the shared generator, as about 80."""


def auc_spread(num_members: int, num_others: int) -> float:
    """Return the standard deviation of the AUC of one run where nothing leaks: that of the Mann-Whitney statistic (1947)."""
    return ((num_members + num_others + 1) / (12 * num_members * num_others)) ** 0.5


def target_width(num_members: int, num_others: int, confidence: float) -> float:
    """Return the expected width of the AUC's interval over records; reference runs do not change it."""
    return 2 * critical_value(confidence) * auc_spread(num_members, num_others)


def mean_width(num_members: int, num_others: int, num_runs: int, confidence: float) -> float:
    """Return the expected width of the t-interval of the mean AUC over the target and `num_runs` reference runs.

    Of the default scorer, which learns from the other runs what membership does. Where only pairs of runs share something,
    the mean over n runs has 2 / n times the variance of one run. The jackknife then finds twice that
    (`analyses.mean_over_runs`). What more runs share adds up to half of the width, with 8 to 31 references.
    """
    runs = num_runs + 1
    factor, freedom = (4, runs - 1) if runs <= MOST_LEFT_OUT else (2, BLOCKS - 1)
    quantile = float(student_t.ppf((1 + confidence) / 2, freedom))
    return 2 * quantile * auc_spread(num_members, num_others) * (factor / runs) ** 0.5


def detectable_auc(num_members: int, num_others: int, num_runs: int, family_level: float) -> float:
    """Return the AUC, of the target and of every reference run, that 80 of 100 audits find on a surface with references.

    By the statistic of all runs together (`family`): run r is attacked with k of the runs after it, the target with all, and
    its z-score weighs sqrt(k). Its level is the family's divided by `STATISTICS`. That an attack with few references is
    weaker is not in it: the same training then has a smaller AUC.
    """
    references = np.arange(2, max(2, num_runs) + 1)
    spread = auc_spread(num_members, num_others) * float(references.sum() ** 0.5 / np.sqrt(references).sum())
    return min(1.0, 0.5 + spread * float(norm.isf(family_level / STATISTICS) + norm.ppf(POWER)))


def smallest_rate(num_others: int) -> float:
    """Return the lowest FPR at which a TPR can be measured: one non-member of all."""
    return 1 / num_others


def numbers_to_compare(configured: int) -> list[int]:
    """Return the numbers of reference runs of a plan, the configured one among them where it has an interval over runs."""
    return sorted({*REFERENCE_RUNS, *([configured] if configured else [])})
