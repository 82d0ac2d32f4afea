"""Sample the membership matrix before anything is trained, from labels, canaries and a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tckr.data.seeds import derive_seed
from tckr.errors import UserError

ROUNDING = 1e-9
"""Tolerance for sums of floats, in records."""


def require_members(labels: np.ndarray, class_names: Sequence[str], audit_holdout: float) -> None:
    """Raise a UserError if a run could have no member of a class; `labels` int64 [N] index `class_names`."""
    sizes = np.bincount(labels, minlength=len(class_names))
    for name, size in zip(class_names, sizes.tolist(), strict=True):
        if 0 < size < 1 / (1 - audit_holdout) - ROUNDING:
            raise UserError(
                f"prepare.audit_holdout={audit_holdout:g} leaves {(1 - audit_holdout) * size:.2g} members "
                f"per run of the {size} pool records of class {name!r}; expected at least one. Set "
                f"prepare.audit_holdout={1 - 1 / size:.2g} or less, or leave out small classes with "
                "prepare.min_images_per_class"
            )


def num_members(num_records: int, audit_holdout: float) -> int:
    """Return the number of records that every run is trained on: `(1 - audit_holdout) * num_records`, rounded up.

    With a hold-out, at least one record is held out (of two or more).
    """
    if audit_holdout == 0 or num_records < 2:
        return num_records
    return min(int(np.ceil((1 - audit_holdout) * num_records - ROUNDING)), num_records - 1)


def members_per_class(sizes: np.ndarray, total: int, generator: np.random.Generator) -> np.ndarray:
    """Sample the number of members of every class in one run, int64 like `sizes`; they add up to `total`.

    A class of n records has p n members on average, p = total / sum(sizes), and always p n rounded up or down: systematic
    sampling of the fractions in random order (Madow 1949). So each record is a member with the same probability p in every
    run, however small its class. If p n were rounded equally in all runs, small classes would have other rates, which an
    attack can exploit.
    """
    wanted = total * sizes / max(1, sizes.sum())
    counts = np.floor(wanted + ROUNDING).astype(np.int64)
    order = generator.permutation(len(sizes))
    passed = np.concatenate([[0.0], np.cumsum((wanted - counts)[order])]).round(9)  # ends in an integer
    counts[order] += np.diff(np.floor(passed + generator.random())).astype(np.int64)
    return counts


def membership_rows(
    labels: np.ndarray, canaries: np.ndarray, *, audit_holdout: float, num_rows: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield the rows of M, bool [N] each: row 0 is the target run, the others are reference runs.

    Each row is sampled independently, with its own seed: first the number of members of each class (`members_per_class`),
    then the members, uniformly. So without canaries every run has the same training-set size, and each record is a member of
    a run with the same probability p, which is 1 - audit_holdout up to the rounding of that size. Rows are NOT balanced
    against one another (each record in exactly p of the runs, as in some audits), because rows 1..R would then determine row
    0, and an attack could read the membership from the design. Two rows agree on a record with probability
    p^2 + (1 - p)^2, as for independent samples.

    A canary (True in `canaries`, bool [N]) is a member by an independent fair coin in every row, regardless of the hold-out:
    the one-run audit needs independent coins (Steinke et al. 2023), which a fixed number of members per class does not give.
    The other records are sampled among themselves, so a canary's coin affects only that canary.

    If records have groups, N counts groups: `labels` are their strata, and all records of a group are members, or none.
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
