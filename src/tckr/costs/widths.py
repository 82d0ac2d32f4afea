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

FACTORS = {5: 4.07, 9: 5.55, 17: 8.0, 32: 9.8, 33: 1.49, 65: 1.8, 257: 2.4}
"""Runs -> variance of their mean AUC, as the audit's interval finds it where nothing leaks, times the number of runs and in
variances of one run: 1 = runs that share nothing. The default attack learns from the other runs what membership does, so all
runs share something. Simulated by `benchmarks/widths.py`: seed 0, with 1 for 17 runs and 1 to 3 for 257."""


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

    The interval of `analyses.mean_over_runs` with the default scorer: the variance that it finds on average (`FACTORS`;
    between two numbers of runs that were simulated, linear in the logarithm), with the quantile that it takes.
    """
    runs = num_runs + 1
    known = [number for number in FACTORS if (number <= MOST_LEFT_OUT) == (runs <= MOST_LEFT_OUT)]
    factor = float(np.interp(np.log(runs), np.log(known), [FACTORS[number] for number in known]))
    return 2 * quantile_over(runs, confidence) * auc_spread(num_members, num_others) * (factor / runs) ** 0.5


def quantile_over(runs: int, confidence: float) -> float:
    """Return the quantile of Student's t that the interval over so many runs takes."""
    freedom = runs - 1 if runs <= MOST_LEFT_OUT else BLOCKS - 1
    return float(student_t.ppf((1 + confidence) / 2, freedom))


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
