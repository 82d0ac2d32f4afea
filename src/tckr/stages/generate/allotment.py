"""Number of images of each class, and the class of each index, computed without memory per image."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tckr.stages.generate.class_table import require_classes


@dataclass(frozen=True)
class Allotment:
    """Order of images: classes alternate until each has its number of images; larger classes come first in a round.

    Attributes:
        counts: number of images of each class.
    """

    counts: tuple[int, ...]

    @property
    def num_images(self) -> int:
        """Return the total number of images."""
        return sum(self.counts)

    @cached_property
    def _order(self) -> list[int]:
        """Return the classes by their number of images, largest first; ties in label order."""
        return sorted(range(len(self.counts)), key=lambda label: -self.counts[label])

    @cached_property
    def _stretches(self) -> list[tuple[int, int, int]]:
        """Return (first index, first round, number of classes) of each stretch of rounds with the same classes."""
        classes_of = Counter(self.counts)
        found, first, turn, taking_part = [], 0, 0, len(self.counts)
        for end in sorted(classes_of):
            found.append((first, turn, taking_part))
            first += (end - turn) * taking_part
            turn, taking_part = end, taking_part - classes_of[end]
        return found

    def place(self, index: int) -> tuple[int, int]:
        """Return (round, label) of the image `index`."""
        stretch = bisect_right(self._stretches, index, key=lambda found: found[0]) - 1
        first, turn, taking_part = self._stretches[stretch]
        turns, position = divmod(index - first, taking_part)
        return turn + turns, self._order[position]


def allot(per_class: str | Mapping[str, int], num_images: int, class_names: Sequence[str], labels: np.ndarray) -> Allotment:
    """Return the number of images of each class.

    Args:
        per_class: `balanced` (equal numbers; the first classes may have one more), `data` (in proportion to `labels`, by
            largest
            remainder), or class name -> number, in which case `num_images` is ignored.
        num_images: total number; each class has at least one image.
        class_names: index = label.
        labels: int64 [N], labels of the private set; every class occurs.

    Raises:
        UserError: a mapping does not name exactly the classes.
    """
    num_classes = len(class_names)
    if not isinstance(per_class, str):
        return Allotment(tuple(_of_table(per_class, class_names)))
    num_images = max(num_classes, num_images)
    if per_class == "balanced":
        return Allotment(
            tuple(num_images // num_classes + (label < num_images % num_classes) for label in range(num_classes))
        )
    shares = np.bincount(labels, minlength=num_classes) / len(labels) * (num_images - num_classes)
    counts = 1 + np.floor(shares).astype(np.int64)
    largest = np.argsort(-(shares % 1), kind="stable")[: num_images - int(counts.sum())]
    counts[largest] += 1
    return Allotment(tuple(counts.tolist()))


def _of_table(table: Mapping[str, int], class_names: Sequence[str]) -> list[int]:
    require_classes(table, class_names)
    return [table[name] for name in class_names]
