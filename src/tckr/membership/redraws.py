"""Sample the target's members again, to get the distribution of the attack's statistics if nothing leaks.

Row 0 of the membership matrix was sampled by `prepare`, uniformly among the sets with as many members of every class. Given
these numbers, every exchange of membership within a class was equally likely. If the release contains no information about
row 0, the scores (which never use row 0) and row 0 are independent, and the true statistic has a uniform rank among those of
resampled rows: its p-value is exact, whatever the scores are (Fisher 1935). All statistics use the same resampled rows, so
the smallest of several p-values has an exact distribution too (Westfall and Young 1993, single-step minP).

If records have groups (one patient), `prepare` sampled groups: then N counts groups, strata are those of groups, and a
weight is the sum over a group's records.

Shape suffixes: B resampled rows and the true one (row 0), N records, K statistics.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

NUM_REDRAWS = 9_999
"""The smallest possible p-value is 1 in 10,000."""

CHUNK = 4_000_000
"""Cells sampled at a time: 32 MB."""


def double_ranks(scores_N: np.ndarray) -> np.ndarray:
    """Return twice the mid-ranks minus their mean: integers, so that sums are exact and ties are equal.

    The mean is subtracted because, with groups, the number of member records varies.
    """
    return 2 * rankdata(scores_N) - (len(scores_N) + 1)


def sums_over_members(members_N: np.ndarray, strata_N: np.ndarray, weights_NK: np.ndarray) -> np.ndarray:
    """Return the sums [B, K] of the weights over members, for the true row and for rows resampled within strata.

    Weights are integers; strata int64 [N] are the sets within which `prepare` sampled.
    """
    order = np.argsort(strata_N, kind="stable")
    weights, members = weights_NK[order], members_N[order]
    ends = np.cumsum(np.bincount(strata_N))
    generator = np.random.default_rng(0)
    found, size = [members @ weights], max(1, CHUNK // max(1, len(members)))
    for start in range(0, NUM_REDRAWS, size):
        drawn = np.tile(members, (min(size, NUM_REDRAWS - start), 1))
        for low, high in zip(np.append(0, ends[:-1]), ends, strict=True):
            generator.permuted(drawn[:, low:high], axis=1, out=drawn[:, low:high])
        found.append(drawn.astype(np.float64) @ weights)
    return np.vstack(found)


def sums_over_coins(coins_N: np.ndarray, weights_NK: np.ndarray) -> np.ndarray:
    """Return the same sums if every record has an independent fair coin, as canaries have.

    Coins are tossed only for records with a weight: of a large pool few are canaries.
    """
    counted = weights_NK.any(axis=1)
    weights = weights_NK[counted]
    generator = np.random.default_rng(1)
    found, size = [coins_N[counted].astype(np.float64) @ weights], max(1, CHUNK // max(1, len(weights)))
    for start in range(0, NUM_REDRAWS, size):
        drawn = generator.integers(2, size=(min(size, NUM_REDRAWS - start), len(weights)))
        found.append(drawn.astype(np.float64) @ weights)
    return np.vstack(found)


def moments(members_N: np.ndarray, strata_N: np.ndarray, weights_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [K] and covariance [K, K] of the sums over resampled members: sampling without replacement."""
    mean, covariance = np.zeros(weights_NK.shape[1]), np.zeros((weights_NK.shape[1],) * 2)
    for stratum in np.unique(strata_N):
        chosen = strata_N == stratum
        size, drawn = int(chosen.sum()), int(members_N[chosen].sum())
        centre = weights_NK[chosen].mean(axis=0)
        mean += drawn * centre
        if size > 1:
            rest = weights_NK[chosen] - centre
            covariance += drawn * (size - drawn) / (size * (size - 1)) * (rest.T @ rest)
    return mean, covariance


def p_values(statistics_BK: np.ndarray) -> np.ndarray:
    """Return for every row and statistic the share of rows that reach it, [B, K]."""
    return np.stack([_share_reaching(column) for column in statistics_BK.T], axis=1)


def _share_reaching(column_B: np.ndarray) -> np.ndarray:
    """Return for each entry the share of entries that are at least as large."""
    _, places, counts = np.unique(column_B, return_inverse=True, return_counts=True)
    return np.cumsum(counts[::-1])[::-1][places] / len(column_B)


def family_p_values(p_BK: np.ndarray) -> np.ndarray:
    """Return for every statistic the share of rows whose smallest p-value is at most its own, [K]."""
    smallest = np.sort(p_BK.min(axis=1))
    return np.searchsorted(smallest, p_BK[0], side="right") / len(smallest)


def level_of_one(p_BK: np.ndarray, family_level: float) -> float:
    """Return the p-value below which one statistic is significant at the level of the family."""
    return float(np.quantile(p_BK.min(axis=1), family_level, method="lower"))
