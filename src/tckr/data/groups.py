"""Groups: images of one patient, part or sign, which must not be divided by splits or membership."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tckr.data.layouts.columns import whole_number
from tckr.data.sources.record import SourceRecord
from tckr.disk import write_whole
from tckr.errors import shown

if TYPE_CHECKING:
    import numpy as np

GROUPS_NAME = "groups.npy"
FEWEST_GROUPS = 4
"""Minimum number of groups of a class: one each for test split, validation split, members and non-members."""


@dataclass(frozen=True)
class Grouping:
    """How the group of an image is determined.

    Attributes:
        column: column of a table; empty = the path of the image, relative to the source.
        pattern: regular expression with one capture group, searched in it; empty = the complete text of the column.
    """

    column: str = ""
    pattern: str = ""

    def __bool__(self) -> bool:
        """Return whether groups are used."""
        return bool(self.column or self.pattern)

    def group_of(self, value: Any) -> str:
        """Return the group in a cell or path; empty if it has none. 7, 7.0 and `7 ` are the same group."""
        text = "" if value is None or value != value else str(value).strip()  # NaN is not equal to itself
        if self.pattern:
            found = re.search(self.pattern, text)
            text = (found[1] or "") if found else ""
        number = whole_number(text)
        return text if number is None else str(number)

    def describe(self) -> str:
        """Return the origin of groups, for messages."""
        place = f"column {self.column!r}" if self.column else "the path"
        return f"{shown(self.pattern)} in {place}" if self.pattern else place

    def counted(self, values: Iterable[Any]) -> dict[str, Any]:
        """Return the entries of a layout on the groups in these cells or paths; empty if groups are not used."""
        if not self:
            return {}
        return {"groups": self.describe(), "num_groups": len({self.group_of(value) for value in values} - {""})}

    def columns(self, *others: str) -> tuple[str, ...]:
        """Return the columns to read from a table: `others` and the group column, each once, without empty names."""
        return tuple(dict.fromkeys(name for name in (*others, self.column) if name))

    def assign(self, record: SourceRecord, value: Any) -> SourceRecord:
        """Return `record` with the group in `value`; it is rejected if groups are used and `value` has none."""
        if not self:
            return record
        group = self.group_of(value)
        if group or record.reason:
            return replace(record, group=group)
        return replace(record, data=b"", reason="no_group", detail=f"nothing found by {self.describe()}")


def number_groups(groups: Sequence[str], identities: Sequence[str]) -> list[int]:
    """Return the group of each record as a number from 0, in order of first appearance.

    Args:
        groups: group of each record; empty = a group of one record.
        identities: identity of each record, all different.
    """
    numbers: dict[tuple[str, str], int] = {}
    keys = ((group, "" if group else identity) for group, identity in zip(groups, identities, strict=True))
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def group_strata(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return int64 [G]: the class by which each group is sampled: of its classes, the one that occurs in the fewest groups.

    This spreads each class as evenly as groups allow, the rarest first. Without groups, it is the record's label.

    Args:
        groups: int64 [N], numbers 0 to G - 1, all of them used.
        labels: int64 [N].
    """
    import numpy as np

    pairs = np.unique(np.stack([groups, labels], axis=1), axis=0)
    num_groups = np.bincount(pairs[:, 1])
    order = np.lexsort((pairs[:, 1], num_groups[pairs[:, 1]], pairs[:, 0]))
    first = np.unique(pairs[order, 0], return_index=True)[1]
    return pairs[order][first, 1]


def write_groups(folder: Path, groups: np.ndarray) -> None:
    """Write groups.npy, int64 [records of pool, validation and test]: the group of each record by its number."""
    from tckr.data.npy import write_npy

    write_whole(folder / GROUPS_NAME, lambda partial: write_npy(partial, len(groups), [groups]))


def read_groups(folder: Path) -> np.ndarray:
    """Return int64 [records of pool, validation and test]: the group of each record."""
    import numpy as np

    groups = np.load(folder / GROUPS_NAME, allow_pickle=False)
    assert groups.dtype == np.int64, groups.dtype
    return groups


def units_of(folder: Path, records: np.ndarray, unit: str) -> np.ndarray:
    """Return the unit of each record, int64 [N]: the record itself, or its group if `unit` is "group"."""
    return read_groups(folder)[records] if unit == "group" else records


def groups_of_pool(folder: Path, num_pool: int) -> np.ndarray | None:
    """Return the group of each record of the pool, int64 [N]; None if no group has several records."""
    import numpy as np

    groups = read_groups(folder)[:num_pool]
    return None if len(np.unique(groups)) == num_pool else groups
