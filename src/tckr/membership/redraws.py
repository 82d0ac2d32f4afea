"""Draw the target's members again: what statistics of the attack would be if nothing leaked. Knows no signal and no model.

Row 0 of the membership matrix was drawn by `prepare`, uniformly among the sets with as many members of every class. Given
those numbers every exchange of membership within a class was equally likely. If what was released says nothing about row 0,
scores (which never see row 0) and row 0 are independent, and the statistic of the true draw ranks uniformly among those of
redraws: its p-value is exact, whatever the scores are (Fisher 1935). All statistics see the same redraws, so the smallest of
several p-values has an exact distribution too (Westfall and Young 1993, single-step minP).

Where records have groups (one patient), `prepare` drew groups: then N counts groups, strata are those of groups, and a
weight is the sum of those of a group's records.

Shape suffixes: B redraws and the true draw (row 0), N records, K statistics.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

NUM_REDRAWS = 9_999
"""The smallest p-value is one in 10,000."""

CHUNK = 4_000_000
"""Cells drawn at a time: 32 MB."""


def double_ranks(scores_N: np.ndarray) -> np.ndarray:
    """Return twice the mid-ranks less their mean: whole numbers, so that their sums are exact and ties are ties.

    Less the mean, because draws by group have more or fewer member records.
    """
    return 2 * rankdata(scores_N) - (len(scores_N) + 1)


def sums_over_members(members_N: np.ndarray, strata_N: np.ndarray, weights_NK: np.ndarray) -> np.ndarray:
    """Return the sums [B, K] of the weights over members, of the true draw and of redraws within strata.

    Weights are whole numbers; strata int64 [N] say which records `prepare` drew together.
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
    """Return the same where every record has a fair coin of its own, as canaries have."""
    drawn = np.random.default_rng(1).integers(2, size=(NUM_REDRAWS, len(coins_N))).astype(np.float64)
    return np.vstack([coins_N.astype(np.float64) @ weights_NK, drawn @ weights_NK])


def moments(members_N: np.ndarray, strata_N: np.ndarray, weights_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [K] and covariance [K, K] of the sums over members under redraws: sampling without replacement."""
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
    """Return for every draw and statistic the share of draws that reach it, [B, K]."""
    return np.stack([_share_reaching(column) for column in statistics_BK.T], axis=1)


def _share_reaching(column_B: np.ndarray) -> np.ndarray:
    """Return the share of entries that are as large, for each of them."""
    _, places, counts = np.unique(column_B, return_inverse=True, return_counts=True)
    return np.cumsum(counts[::-1])[::-1][places] / len(column_B)


def family_p_values(p_BK: np.ndarray) -> np.ndarray:
    """Return for every statistic the share of draws whose smallest p-value is no larger than its own, [K]."""
    smallest = np.sort(p_BK.min(axis=1))
    return np.searchsorted(smallest, p_BK[0], side="right") / len(smallest)


def level_of_one(p_BK: np.ndarray, family_level: float) -> float:
    """Return the p-value below which one statistic is found at the level of the family."""
    return float(np.quantile(p_BK.min(axis=1), family_level, method="lower"))
