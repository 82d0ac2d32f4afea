"""The data card that `prepare` writes, and the membership matrix and the canaries beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from tckr.data.shards import read_columns
from tckr.disk import write_whole

if TYPE_CHECKING:
    import numpy as np

CARD_NAME = "card.json"
MEMBERSHIP_NAME = "membership.npy"
MEMBERSHIP_ROWS = 257
"""The target and up to 256 reference runs. All rows are drawn before anything trains, whether a run uses them or not: so a
later choice of how many runs to make cannot touch the draw, and changes no artifact."""

CANARIES_NAME = "canaries.npy"
CANARY_KINDS = {"natural": 1, "mislabelled": 2}
"""Kind of canary -> its code in canaries.npy; 0 is an ordinary record."""

VALIDATION_RUN = -1
"""The run of the audit's null control: it trains on the validation split, so on no record that is attacked."""

EVERY_RECORD = -2
"""Not a run of the pipeline: an attacker who holds a record can put it into words, so the audit captions all of them."""


class DataCard(BaseModel):
    """What `prepare` found, kept and refused.

    Attributes:
        name: short name of the data set.
        source: what the user named as source.
        public: whether everybody may see the images and know who is a member (`prepare.public`).
        class_names: index = label, everywhere.
        renamed_classes: the source's class name -> the name used, where they differ.
        image_size: side of every stored image in px.
        counts: class name -> `{"pool": n, "validation": n, "test": n}`.
        num_pool: records that can be members (columns of the membership matrix).
        num_validation: records for model selection, in no row of the matrix.
        num_test: locked test records.
        num_members: records that the target run trains on (row 0 of the matrix). Without canaries every row has as many;
            with canaries, whose membership is a coin each, the other rows differ from it by a few.
        rejected: reason -> number of files (`tckr.data.rejections.REASONS`); the files are in rejected.csv.
        normalised: rule -> number of kept images or of classes (`tckr.data.rejections.RULES`).
        duplicates: rejected because the same pixels were there before, with the same label.
        test_sha256: lock of the test split, an HMAC (`tckr.data.lock`); its key is not in the card.
        audit_holdout: fraction of the pool that a run does not train on.
        canaries: kind -> number of pool records (`CANARY_KINDS`); `counts` counts a mislabelled one under its wrong label.
        grey: whether no kept image has colour; images drawn for the set then get none.
        sizes: shorter side of the kept source images in px: `{"min", "median", "max"}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    public: bool = False
    class_names: list[str]
    renamed_classes: dict[str, str] = {}
    image_size: int
    counts: dict[str, dict[str, int]]
    num_pool: int
    num_validation: int
    num_test: int
    num_members: int
    rejected: dict[str, int]
    normalised: dict[str, int]
    duplicates: int
    test_sha256: str
    audit_holdout: float
    canaries: dict[str, int] = {}
    grey: bool = False
    sizes: dict[str, float]


def read_card(folder: Path) -> DataCard:
    """Return the card of a `prepare` artifact."""
    return DataCard.model_validate_json((folder / CARD_NAME).read_text(encoding="utf-8"))


def write_card(folder: Path, card: DataCard) -> None:
    """Write card.json, whole or not at all."""
    text = card.model_dump_json(indent=2) + "\n"
    write_whole(folder / CARD_NAME, lambda partial: partial.write_text(text, encoding="utf-8"))


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


def read_canaries(folder: Path) -> np.ndarray:
    """Return int8 [N]: the kind of canary (`CANARY_KINDS`) that each pool record is, 0 for ordinary records."""
    import numpy as np

    kinds = np.load(folder / CANARIES_NAME, allow_pickle=False)
    assert kinds.dtype == np.int8, kinds.dtype
    return kinds
