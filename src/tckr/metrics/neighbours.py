"""Exact Euclidean nearest neighbours by blocks of matrix products.

Candidates are found in float32 from |b|^2 - 2 a.b, whose rounding error has a bound; every record that the bound does not
exclude is computed again as |a - b| in float64. Results are those of the direct formula and do not depend on the block
size. Both sides may be memory maps of any real type, with finite values below 1e15; memory is O(block). scikit-learn's
brute force takes 0.8 to 2 times as long on one core, and gives up to 1e-6 instead of 0 for a copy of a record.

Shape suffixes: Q queries, B bank (the records searched), D dimensions, K neighbours, R some rows of Q, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 2048
"""Maximum records of either side in a block: 16 MB of products."""
MAX_NUMBERS = 2**22
"""Maximum coordinates of either side in a block: long vectors make short blocks."""
ROUNDING = 2.0**-24
"""Unit roundoff of float32."""
UNDERFLOW = 2.0**-100
"""Upper bound of the sum of all products below float32's range."""
LARGEST = float(np.finfo(np.float32).max)


def nearest(queries_QD: np.ndarray, bank_BD: np.ndarray, *, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Return distance float64 [Q] and index int64 [Q] of each query's nearest record; the first one of ties."""
    distances_QK, indices_QK = k_nearest(queries_QD, bank_BD, 1, block=block)
    return distances_QK[:, 0], indices_QK[:, 0]


def k_nearest(queries_QD: np.ndarray, bank_BD: np.ndarray, k: int, *, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Return distances float64 [Q, k] and indices int64 [Q, k] of the k <= B nearest records, by distance, then index."""
    assert 1 <= k <= len(bank_BD), (k, bank_BD.shape)
    return _search(queries_QD, bank_BD, k, block, leave_out_self=False)


def nearest_other(records_BD: np.ndarray, *, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Return distance float64 [B] and index int64 [B] of each record's nearest other record; B is at least 2."""
    assert len(records_BD) > 1, records_BD.shape
    distances_QK, indices_QK = _search(records_BD, records_BD, 1, block, leave_out_self=True)
    return distances_QK[:, 0], indices_QK[:, 0]


def count_within(queries_QD: np.ndarray, bank_BD: np.ndarray, radii_Q: np.ndarray, *, block: int = BLOCK) -> np.ndarray:
    """Return int64 [Q]: the number of records within each query's radius (float64; below 0: none)."""
    counts_Q = np.zeros(len(queries_QD), dtype=np.int64)
    limits_Q = np.where(radii_Q < 0, -np.inf, radii_Q * radii_Q)
    for pair in _block_pairs(queries_QD, bank_BD, block):
        rows, possible_RB, certain_RB = pair.within(limits_Q[pair.queries])
        places, columns = np.nonzero(possible_RB & ~certain_RB)
        near = pair.measure(rows[places], columns) <= radii_Q[pair.queries][rows[places]]
        counts_Q[pair.queries][rows] += certain_RB.sum(axis=1) + np.bincount(places[near], minlength=len(rows))
    return counts_Q


def pairs_within(
    queries_QD: np.ndarray, bank_BD: np.ndarray, radii_Q: np.ndarray, *, block: int = BLOCK
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield, block by block, query int64 [P], record int64 [P] and distance [P] of the pairs that `count_within` counts."""
    limits_Q = np.where(radii_Q < 0, -np.inf, radii_Q * radii_Q)
    for pair in _block_pairs(queries_QD, bank_BD, block):
        rows, possible_RB, _ = pair.within(limits_Q[pair.queries])
        places, columns = np.nonzero(possible_RB)
        distances = pair.measure(rows[places], columns)
        near = distances <= radii_Q[pair.queries][rows[places]]
        yield rows[places][near] + pair.queries.start, columns[near] + pair.bank.start, distances[near]


def _search(
    queries_QD: np.ndarray, bank_BD: np.ndarray, k: int, block: int, *, leave_out_self: bool
) -> tuple[np.ndarray, np.ndarray]:
    distances_QK = np.full((len(queries_QD), k), np.inf)
    indices_QK = np.full((len(queries_QD), k), len(bank_BD), dtype=np.int64)
    for pair in _block_pairs(queries_QD, bank_BD, block):
        if leave_out_self:
            pair.exclude_same_index()
        distances, indices = distances_QK[pair.queries], indices_QK[pair.queries]
        worst_Q = distances[:, -1]
        limits_Q = np.where(worst_Q == 0, -np.inf, worst_Q * worst_Q)  # later records cannot be nearer than 0
        rows, columns = pair.candidates(limits_Q, k)
        _keep_nearest(distances, indices, rows, columns + pair.bank.start, pair.measure(rows, columns))
    return distances_QK, indices_QK


def _keep_nearest(
    distances_QK: np.ndarray, indices_QK: np.ndarray, rows_P: np.ndarray, indices_P: np.ndarray, distances_P: np.ndarray
) -> None:
    """Insert each candidate P among the K nearest of its query `rows_P`, in place, if it is nearer than one of them."""
    k = distances_QK.shape[1]
    changed = np.unique(rows_P)
    rows = np.concatenate([np.repeat(changed, k), rows_P])
    indices = np.concatenate([indices_QK[changed].ravel(), indices_P])
    distances = np.concatenate([distances_QK[changed].ravel(), distances_P])
    order = np.lexsort((indices, distances, rows))
    rank = np.arange(len(rows)) - np.searchsorted(rows[order], rows[order])  # position among the candidates of its query
    kept, rank = order[rank < k], rank[rank < k]
    distances_QK[rows[kept], rank] = distances[kept]
    indices_QK[rows[kept], rank] = indices[kept]


@dataclass(frozen=True)
class _BlockPair:
    """A block of queries and a block of the bank: bounds of the squared distances, and exact distances on request.

    A squared distance lies between score + lift and score + lift + query_width + bank_width. With a, b centred and c the
    bound of the relative error: score = (1 - c)|b|^2 - 2 a.b, off by at most c(|a|^2 + |b|^2); lift = (1 - c)|a|^2.

    Attributes:
        queries, bank: positions of the blocks.
        originals: all queries [Q, D] and the complete bank [B, D].
        scores, bank_width: float32 [Q, B] and [B].
        lift, query_width: float64 [Q].
    """

    queries: slice
    bank: slice
    originals: tuple[np.ndarray, np.ndarray]
    scores: np.ndarray
    bank_width: np.ndarray
    lift: np.ndarray
    query_width: np.ndarray

    def exclude_same_index(self) -> None:
        """Set the distance of every record to itself to infinity, if queries and bank are the same records."""
        same = np.arange(max(self.queries.start, self.bank.start), min(self.queries.stop, self.bank.stop))
        self.scores[same - self.queries.start, same - self.bank.start] = np.inf

    def candidates(self, limits_Q: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns [P] of all pairs that may be among a query's k nearest, with a square up to its limit."""
        rows = self._rows_below(limits_Q)
        scores_RB, limits_R = self.scores[rows], limits_Q[rows]
        if k <= scores_RB.shape[1]:
            kth_R = np.partition(scores_RB + self.bank_width, k - 1, axis=1)[:, k - 1]
            limits_R = np.minimum(limits_R, kth_R + self.lift[rows] + self.query_width[rows])
        places, columns = np.nonzero(scores_RB <= _float32_above(limits_R - self.lift[rows])[:, None])
        return rows[places], columns

    def within(self, limits_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows int64 [R] and whether a square may be, and whether it certainly is, up to the limit (bool [R, B])."""
        rows = self._rows_below(limits_Q)
        scores_RB, room_R = self.scores[rows], limits_Q[rows] - self.lift[rows]
        certain_RB = scores_RB + self.bank_width < -_float32_above(self.query_width[rows] - room_R)[:, None]
        return rows, scores_RB <= _float32_above(room_R)[:, None], certain_RB

    def measure(self, rows_P: np.ndarray, columns_P: np.ndarray) -> np.ndarray:
        """Return the distances float64 [P] of pairs by the direct formula."""
        queries_QD, bank_BD = (side[place] for side, place in zip(self.originals, (self.queries, self.bank), strict=True))
        step = max(1, MAX_NUMBERS // max(1, queries_QD.shape[1]))
        distances_P = np.empty(len(rows_P))
        for start in range(0, len(rows_P), step):
            part = slice(start, start + step)
            gaps_PD = queries_QD[rows_P[part]].astype(np.float64) - bank_BD[columns_P[part]]
            distances_P[part] = np.sqrt(np.square(gaps_PD, out=gaps_PD).sum(axis=1))
        return distances_P

    def _rows_below(self, limits_Q: np.ndarray) -> np.ndarray:
        return np.flatnonzero(self.scores.min(axis=1) <= limits_Q - self.lift)


def _block_pairs(queries_QD: np.ndarray, bank_BD: np.ndarray, block: int) -> Iterator[_BlockPair]:
    """Yield every pair of blocks; for each block of queries, the bank in order."""
    dimensions = queries_QD.shape[1]
    assert dimensions == bank_BD.shape[1], (queries_QD.shape, bank_BD.shape)
    # Dot product: D roundings (Higham 2002, eq. 3.5, in any order of summation); the rest: centring, norms, additions.
    error = 1.1 * (dimensions + 16) * ROUNDING
    assert error < 0.1, f"vectors of {dimensions} numbers are too long for float32"
    # Any centre is valid; one near the middle makes the bound tight.
    centre = bank_BD[:: max(1, len(bank_BD) // 1024)].mean(axis=0, dtype=np.float64).astype(np.float32)
    for queries in _blocks(len(queries_QD), dimensions, block):
        a_QD, norms_Q = _centred(queries_QD[queries], centre)
        for bank in _blocks(len(bank_BD), dimensions, block):
            b_BD, norms_B = _centred(bank_BD[bank], centre)
            scores_QB = (-2 * a_QD) @ b_BD.T
            scores_QB += ((1 - error) * norms_B).astype(np.float32)
            yield _BlockPair(
                queries=queries,
                bank=bank,
                originals=(queries_QD, bank_BD),
                scores=scores_QB,
                bank_width=(2 * error * norms_B).astype(np.float32),
                lift=(1 - error) * norms_Q - UNDERFLOW,
                query_width=2 * error * norms_Q + 2 * UNDERFLOW,
            )


def _blocks(count: int, dimensions: int, block: int) -> list[slice]:
    size = max(1, min(block, MAX_NUMBERS // max(1, dimensions)))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _centred(values_ND: np.ndarray, centre_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values less centre in float32 and their squared lengths float64 [N]."""
    centred_ND = np.subtract(values_ND, centre_D, dtype=np.result_type(values_ND, np.float32)).astype(np.float32, copy=False)
    norms_N = np.square(centred_ND, dtype=np.float64).sum(axis=1)
    assert (norms_N < 1e36).all(), "distances need finite values below 1e15"
    return centred_ND, norms_N


def _float32_above(values: np.ndarray) -> np.ndarray:
    """Return a float32 number not below each value, and a finite one for infinity: what is infinitely far stays out."""
    return np.nextafter(np.clip(values, -LARGEST, LARGEST).astype(np.float32), np.float32(LARGEST))
