"""`membership.npy`, which states the pool records that each run is trained on, and `canaries.npy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tckr.data.groups import groups_of_pool
from tckr.data.shards import read_columns

if TYPE_CHECKING:
    import numpy as np

MEMBERSHIP_NAME = "membership.npy"
MEMBERSHIP_ROWS = 257
"""The target and up to 256 reference runs. All rows are sampled before anything is trained, even those that no run uses,
so a later choice of the number of runs affects neither the rows nor other artifacts."""

VALIDATION_RUN = -1
"""The run of the audit's null control, which is trained on the validation split, i.e. on no attacked record."""

EVERY_RECORD = -2
"""Not a run of the pipeline: the audit captions all records, because an attacker who has a record can caption it."""

WITH_COINS = -3
"""Not a run either: canaries and the other records of their groups. Without reference runs the audit needs no others."""

CANARIES_NAME = "canaries.npy"
CANARY_KINDS = {"natural": 1, "mislabelled": 2}
"""Kind of canary -> its code in canaries.npy; 0 is an ordinary record."""

COMPANION = 3
"""Code of the other records of a canary's group. They share its coin, so they are neither ordinary nor separate canaries: a
bound counts coins."""


def read_membership(folder: Path) -> np.ndarray:
    """Return M, bool [MEMBERSHIP_ROWS, N], a read-only memory map: `M[run, record]` is True if the run is trained on it."""
    import numpy as np

    membership = np.load(folder / MEMBERSHIP_NAME, mmap_mode="r", allow_pickle=False)
    assert membership.dtype == np.bool_, membership.dtype
    return membership


def read_members(folder: Path, run: int) -> np.ndarray:
    """Return the record numbers (int64, ascending) that run `run` is trained on.

    Run 0 is the target, 1..R are reference runs; `VALIDATION_RUN`, `EVERY_RECORD` and `WITH_COINS` are special values of the
    audit.
    """
    import numpy as np

    if run == VALIDATION_RUN:
        return np.sort(read_columns(folder / split_of(run), ["record"])["record"].astype(np.int64))
    if run == WITH_COINS:
        canaries = read_canaries(folder) > 0
        groups = groups_of_pool(folder, len(canaries))
        return np.flatnonzero(canaries if groups is None else np.isin(groups, groups[canaries])).astype(np.int64)
    membership = read_membership(folder)
    if run == EVERY_RECORD:
        return np.arange(membership.shape[1], dtype=np.int64)
    assert 0 <= run < len(membership), f"run {run} of {len(membership)}"
    return np.flatnonzero(membership[run]).astype(np.int64)


def split_of(run: int) -> str:
    """Return the folder of the split that contains the records of `run`."""
    return "validation" if run == VALIDATION_RUN else "pool"


def read_labels(folder: Path, run: int) -> dict[int, int]:
    """Return record -> label of the complete split that contains the records of `run`."""
    columns = read_columns(folder / split_of(run), ["record", "label"])
    return dict(zip(columns["record"].tolist(), columns["label"].tolist(), strict=True))


def read_canaries(folder: Path) -> np.ndarray:
    """Return int8 [N]: the kind of canary (`CANARY_KINDS`) of each pool record, 0 for ordinary records."""
    import numpy as np

    kinds = np.load(folder / CANARIES_NAME, allow_pickle=False)
    assert kinds.dtype == np.int8, kinds.dtype
    return kinds
