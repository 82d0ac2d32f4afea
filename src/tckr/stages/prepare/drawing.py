"""Sample the membership of records by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tckr.data.groups import group_strata
from tckr.errors import UserError
from tckr.stages.prepare.membership import membership_rows
from tckr.stages.prepare.splitting import group_numbers
from tckr.stages.prepare.staging import Staged


def draw_by_group(
    pool: Sequence[Staged],
    canaries: np.ndarray,
    class_names: Sequence[str],
    *,
    audit_holdout: float,
    num_rows: int,
    seed: int,
) -> Iterator[np.ndarray]:
    """Yield the rows of M, bool [N]: either all records of a group are members, or none (`membership_rows`).

    Args:
        pool: N records; canaries have their stored label.
        canaries: bool [N], the same for all records of a group.
        class_names: index = label.
        audit_holdout: share of the groups of each class that a run is not trained on.
        num_rows: R + 1.
        seed: root seed of `prepare`.

    Raises:
        UserError: a class has no member in some row.
    """
    groups, labels = group_numbers(pool), np.array([record.label for record in pool], dtype=np.int64)
    planted = np.zeros(groups.max(initial=-1) + 1, dtype=np.bool_)
    planted[groups[canaries]] = True
    strata = ordinary_strata(groups, labels, canaries)
    for members in membership_rows(strata, planted, audit_holdout=audit_holdout, num_rows=num_rows, seed=seed):
        row = members[groups]
        _require_members(np.bincount(labels[row | canaries], minlength=len(class_names)), class_names)
        yield row


def ordinary_strata(groups: np.ndarray, labels: np.ndarray, canaries: np.ndarray) -> np.ndarray:
    """Return int64 [G]: the class in which each ordinary group is sampled; canaries, which have coins, are ignored."""
    strata = np.zeros(groups.max(initial=-1) + 1, dtype=np.int64)
    numbers, dense = np.unique(groups[~canaries], return_inverse=True)
    strata[numbers] = group_strata(dense, labels[~canaries])
    return strata


def _require_members(sizes: np.ndarray, class_names: Sequence[str]) -> None:
    if not sizes.all():
        raise UserError(
            f"class {class_names[int(np.argmin(sizes))]!r} has no member in one of the runs, because its "
            "images are in few groups that also contain rarer classes. Add images of other groups, or raise "
            "prepare.min_images_per_class to leave the class out."
        )
