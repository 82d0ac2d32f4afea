"""scikit-learn's handwritten digits: 1,797 scans, 8 x 8 px, shipped with scikit-learn (UCI, CC BY 4.0)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from sklearn.datasets import load_digits

from tckr.data.groups import Grouping
from tckr.data.images import encode_png
from tckr.data.layouts.description import Layout, LayoutPart, merge_counts
from tckr.data.sources.columns import require_group_column
from tckr.data.sources.record import TRAIN, SourceRecord

MAX_VALUE = 16
"""Maximum value of the original scans."""


class DigitsSource:
    """The digits as 8 x 8 PNG files, with values 0..16 scaled to 0..255."""

    name = "digits"

    def __init__(self, grouping: Grouping) -> None:
        """Load the arrays (115 kB).

        Raises:
            UserError: groups are requested, but the set does not state who wrote a digit.
        """
        require_group_column(grouping, ())
        digits = load_digits()
        self.class_names = [str(name) for name in digits.target_names]
        self._labels = digits.target
        self._pixels = np.round(digits.images * (255 / MAX_VALUE)).astype(np.uint8)

    @property
    def layout(self) -> Layout:
        """Return the description of the digits."""
        counts = Counter(int(label) for label in self._labels)
        return Layout(
            kind="scikit-learn's handwritten digits",
            labels_from="the data set",
            parts=[LayoutPart(name=TRAIN, use=TRAIN, images=len(self))],
            classes=merge_counts(self.class_names, {TRAIN: counts}),
        )

    def __len__(self) -> int:
        """Return 1797."""
        return len(self._labels)

    def records(self, start: int = 0) -> Iterator[SourceRecord]:
        """Yield the scans from number `start` on."""
        for row in range(start, len(self)):
            grey = np.repeat(self._pixels[row][:, :, None], 3, axis=2)
            yield SourceRecord(file=f"digits#{row}", label=int(self._labels[row]), data=encode_png(grey))
