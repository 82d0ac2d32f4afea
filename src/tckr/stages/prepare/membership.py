"""Draw the membership matrix before anything trains. Pure arithmetic on labels, canaries and a seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tckr.data.seeds import derive_seed


def members_per_class(labels: np.ndarray, audit_holdout: float) -> np.ndarray:
    """Return int64 [num_classes], the members of each class in every run: `round((1 - audit_holdout) * n_c)`.

    With a holdout, at least one record of a class is a member and (of two or more) at least one is not.

    Args:
        labels: int64 [N], labels of the pool.
        audit_holdout: fraction of non-members, 0 to below 1; 0 makes every record a member.
    """
    sizes = np.bincount(labels)
    if audit_holdout == 0:
        return sizes
    wanted = np.round((1 - audit_holdout) * sizes).astype(np.int64)
    return np.clip(wanted, np.minimum(1, sizes), np.maximum(sizes - 1, np.minimum(1, sizes)))


def membership_rows(
    labels: np.ndarray, canaries: np.ndarray, *, audit_holdout: float, num_rows: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield the rows of M, bool [N] each: row 0 is the target run, the others are reference runs.

    Each row is drawn on its own, with its own seed, uniformly among the sets with `members_per_class` members per class;
    so without canaries every run has the same training-set size, and each record is a member of a run with probability about
    p = 1 - audit_holdout. Rows are NOT balanced against one another (each record in exactly p of the runs, as some
    audits do): then rows 1..R would determine row 0, and an attack could read the truth off the design. Two rows agree
    on a record with probability p^2 + (1 - p)^2, as independent draws do.

    A canary (True in `canaries`, bool [N]) is a member by a fair coin of its own in every row, whatever the holdout: the
    one-run audit needs independent coins (Steinke et al. 2023), which a fixed number of members per class does not give.
    The other records are drawn among themselves, so what a canary's coin shows depends on nothing but that canary.

    Where records have groups, N counts groups: `labels` are their strata, and a whole group is a member or none of it.
    """
    sizes = members_per_class(labels[~canaries], audit_holdout)
    records_by_class = [np.flatnonzero((labels == label) & ~canaries) for label in range(len(sizes))]
    for row in range(num_rows):
        generator = np.random.default_rng(derive_seed(seed, "membership", row))
        members = np.zeros(len(labels), dtype=np.bool_)
        for records, size in zip(records_by_class, sizes, strict=True):
            members[generator.permutation(records)[:size]] = True
        coins = np.random.default_rng(derive_seed(seed, "canary membership", row))
        members[canaries] = coins.integers(2, size=int(canaries.sum())) == 1
        yield members
