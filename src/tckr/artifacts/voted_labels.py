"""`voted.parquet`: classes that noisy votes of Teachers chose for synthetic images. The numbers of votes are in no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tckr.data.shards import read_columns, write_shard

VOTED_NAME = "voted.parquet"


@dataclass(frozen=True, kw_only=True)
class VotedLabels:
    """The chosen classes of n images.

    Attributes:
        indices: int64 [n], the images.
        labels: int64 [n], in the class order of the synthetic set.
    """

    indices: np.ndarray
    labels: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> VotedLabels:
        """Return the classes in `folder`."""
        columns = read_columns(folder, ["index", "label"])
        return cls(indices=columns["index"], labels=columns["label"])

    def write(self, folder: Path, class_names: Sequence[str]) -> None:
        """Write the classes into `folder`."""
        write_shard(folder / VOTED_NAME, {"index": self.indices, "label": self.labels}, class_names)
