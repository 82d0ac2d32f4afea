"""Draw the membership matrix before anything trains. Pure arithmetic on labels, canaries and a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tckr.data.seeds import derive_seed
from tckr.errors import UserError

ROUNDING = 1e-9
"""Parts of a record that sums of floats may be off by."""


def require_members(labels: np.ndarray, class_names: Sequence[str], audit_holdout: float) -> None:
    """Raise a `UserError` where a run could train on no record of a class; `labels` int64 [N] index `class_names`."""
    sizes = np.bincount(labels, minlength=len(class_names))
    for name, size in zip(class_names, sizes.tolist(), strict=True):
        if 0 < size < 1 / (1 - audit_holdout) - ROUNDING:
            raise UserError(
                f"prepare.audit_holdout={audit_holdout:g} leaves a run {(1 - audit_holdout) * size:.2g} of the {size} pool "
                f"records of class {name!r}; expected at least one. Set prepare.audit_holdout={1 - 1 / size:.2g} or less, "
                "or leave out small classes with prepare.min_images_per_class"
            )


def num_members(num_records: int, audit_holdout: float) -> int:
    """Return how many records every run trains on: `(1 - audit_holdout) * num_records`, rounded up.

    With a holdout at least one record is left (of two or more).
    """
    if audit_holdout == 0 or num_records < 2:
        return num_records
    return min(int(np.ceil((1 - audit_holdout) * num_records - ROUNDING)), num_records - 1)


def members_per_class(sizes: np.ndarray, total: int, generator: np.random.Generator) -> np.ndarray:
    """Draw how many members every class has in one run, int64 like `sizes`; they add up to `total`.

    A class of n records has p n members on average, p = total / sum(sizes), and always p n rounded up or down: systematic
    sampling of the fractions in random order (Madow 1949). So each record has the same chance p in every run, however small
    its class. Rounding p n the same way in all runs would give small classes rates of their own, which an attack can read.
    """
    wanted = total * sizes / max(1, sizes.sum())
    counts = np.floor(wanted + ROUNDING).astype(np.int64)
    order = generator.permutation(len(sizes))
    passed = np.concatenate([[0.0], np.cumsum((wanted - counts)[order])]).round(9)  # ends in a whole number
    counts[order] += np.diff(np.floor(passed + generator.random())).astype(np.int64)
    return counts


def membership_rows(
    labels: np.ndarray, canaries: np.ndarray, *, audit_holdout: float, num_rows: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield the rows of M, bool [N] each: row 0 is the target run, the others are reference runs.

    Each row is drawn on its own, with its own seed: how many members each class has (`members_per_class`), then which, all
    sets of that size alike. So without canaries every run has the same training-set size, and each record is a member of a
    run with the same probability p, which is 1 - audit_holdout up to the rounding of that size. Rows are NOT balanced
    against one another (each record in exactly p of the runs, as some audits do): then rows 1..R would determine row 0, and
    an attack could read the truth off the design. Two rows agree on a record with probability p^2 + (1 - p)^2, as
    independent draws do.

    A canary (True in `canaries`, bool [N]) is a member by a fair coin of its own in every row, whatever the holdout: the
    one-run audit needs independent coins (Steinke et al. 2023), which a fixed number of members per class does not give.
    The other records are drawn among themselves, so what a canary's coin shows depends on nothing but that canary.

    Where records have groups, N counts groups: `labels` are their strata, and a whole group is a member or none of it.
    """
    sizes = np.bincount(labels[~canaries])
    total = num_members(int(sizes.sum()), audit_holdout)
    records_by_class = [np.flatnonzero((labels == label) & ~canaries) for label in range(len(sizes))]
    for row in range(num_rows):
        generator = np.random.default_rng(derive_seed(seed, "membership", row))
        members = np.zeros(len(labels), dtype=np.bool_)
        for records, size in zip(records_by_class, members_per_class(sizes, total, generator), strict=True):
            members[generator.permutation(records)[:size]] = True
        coins = np.random.default_rng(derive_seed(seed, "canary membership", row))
        members[canaries] = coins.integers(2, size=int(canaries.sum())) == 1
        yield members
