"""`membership.npy`, which run trains on which records of the pool, and `canaries.npy` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tckr.data.shards import read_columns

if TYPE_CHECKING:
    import numpy as np

MEMBERSHIP_NAME = "membership.npy"
MEMBERSHIP_ROWS = 257
"""The target and up to 256 reference runs. All rows are drawn before anything trains, whether a run uses them or not: so a
later choice of how many runs to make cannot touch the draw, and changes no artifact."""

VALIDATION_RUN = -1
"""The run of the audit's null control: it trains on the validation split, so on no record that is attacked."""

EVERY_RECORD = -2
"""Not a run of the pipeline: an attacker who holds a record can put it into words, so the audit captions all of them."""

CANARIES_NAME = "canaries.npy"
CANARY_KINDS = {"natural": 1, "mislabelled": 2}
"""Kind of canary -> its code in canaries.npy; 0 is an ordinary record."""

COMPANION = 3
"""Code of the other records of a canary's group. They share its coin: neither ordinary nor canaries of their own, because a
bound counts coins."""


def read_membership(folder: Path) -> np.ndarray:
    """Return M, bool [MEMBERSHIP_ROWS, N], as a read-only memory map: `M[run, record]` says whether the run trains on it."""
    import numpy as np

    membership = np.load(folder / MEMBERSHIP_NAME, mmap_mode="r", allow_pickle=False)
    assert membership.dtype == np.bool_, membership.dtype
    return membership


def read_members(folder: Path, run: int) -> np.ndarray:
    """Return the record numbers (int64, ascending) that run `run` trains on.

    Run 0 is the target, 1..R are reference runs; `VALIDATION_RUN` and `EVERY_RECORD` are the audit's own.
    """
    import numpy as np

    if run == VALIDATION_RUN:
        return np.sort(read_columns(folder / split_of(run), ["record"])["record"].astype(np.int64))
    membership = read_membership(folder)
    if run == EVERY_RECORD:
        return np.arange(membership.shape[1], dtype=np.int64)
    assert 0 <= run < len(membership), f"run {run} of {len(membership)}"
    return np.flatnonzero(membership[run]).astype(np.int64)


def split_of(run: int) -> str:
    """Return the folder of the split that holds the records of `run`."""
    return "validation" if run == VALIDATION_RUN else "pool"


def read_labels(folder: Path, run: int) -> dict[int, int]:
    """Return record -> label of the whole split that holds the records of `run`."""
    columns = read_columns(folder / split_of(run), ["record", "label"])
    return dict(zip(columns["record"].tolist(), columns["label"].tolist(), strict=True))


def read_canaries(folder: Path) -> np.ndarray:
    """Return int8 [N]: the kind of canary (`CANARY_KINDS`) that each pool record is, 0 for ordinary records."""
    import numpy as np

    kinds = np.load(folder / CANARIES_NAME, allow_pickle=False)
    assert kinds.dtype == np.int8, kinds.dtype
    return kinds
