"""Groups: pictures of one patient, part or sign, which no split and no membership draw may separate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tckr.data.layouts.labels import whole_number
from tckr.data.sources.record import SourceRecord
from tckr.disk import write_whole
from tckr.errors import shown

if TYPE_CHECKING:
    import numpy as np

GROUPS_NAME = "groups.npy"
FEWEST_GROUPS = 4
"""Of a class: one each for the test split, the validation split, members and non-members."""


@dataclass(frozen=True)
class Grouping:
    """How the group of a picture is told.

    Attributes:
        column: column of a table; empty = the path of the picture, relative to the source.
        pattern: regular expression with one capture group that is searched in it; empty = all of the column's text.
    """

    column: str = ""
    pattern: str = ""

    def __bool__(self) -> bool:
        """Return whether groups were asked for."""
        return bool(self.column or self.pattern)

    def group_of(self, value: Any) -> str:
        """Return the group that a cell or a path names; empty where it names none. 7, 7.0 and `7 ` are the same."""
        text = "" if value is None or value != value else str(value).strip()  # a NaN differs from itself
        if self.pattern:
            found = re.search(self.pattern, text)
            text = (found[1] or "") if found else ""
        number = whole_number(text)
        return text if number is None else str(number)

    def describe(self) -> str:
        """Return where groups come from, as a message says it."""
        place = f"column {self.column!r}" if self.column else "the path"
        return f"{shown(self.pattern)} in {place}" if self.pattern else place

    def counted(self, values: Iterable[Any]) -> dict[str, Any]:
        """Return what a layout says of the groups of these cells or paths: nothing where none were asked for."""
        if not self:
            return {}
        return {"groups": self.describe(), "num_groups": len({self.group_of(value) for value in values} - {""})}

    def columns(self, *others: str) -> tuple[str, ...]:
        """Return the columns to read of a table: `others` and that of the groups, each once; empty names are none."""
        return tuple(dict.fromkeys(name for name in (*others, self.column) if name))

    def assign(self, record: SourceRecord, value: Any) -> SourceRecord:
        """Return `record` with the group that `value` names, refused where groups were asked for and it names none."""
        if not self:
            return record
        group = self.group_of(value)
        if group or record.reason:
            return replace(record, group=group)
        return replace(record, data=b"", reason="no_group", detail=f"nothing found by {self.describe()}")


def number_groups(groups: Sequence[str], identities: Sequence[str]) -> list[int]:
    """Return the group of each record as a number from 0, in order of first appearance.

    Args:
        groups: of each record; empty = the record is a group of its own.
        identities: of each record, all different.
    """
    numbers: dict[tuple[str, str], int] = {}
    keys = ((group, "" if group else identity) for group, identity in zip(groups, identities, strict=True))
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def group_strata(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return int64 [G]: the class by which each group is drawn, the one of its classes that the fewest groups have.

    So each class is spread as evenly as groups allow, the rarest first. Where every record is a group of its own, it is
    the record's label.

    Args:
        groups: int64 [N], numbers 0 to G - 1, all of them in use.
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
    """Return int64 [records of pool, validation and test]: the group of each; a record without others is one of its own."""
    import numpy as np

    groups = np.load(folder / GROUPS_NAME, allow_pickle=False)
    assert groups.dtype == np.int64, groups.dtype
    return groups


def groups_of_pool(folder: Path, num_pool: int) -> np.ndarray | None:
    """Return the group of each record of the pool, int64 [N]; None where each is the only one of its group."""
    import numpy as np

    groups = read_groups(folder)[:num_pool]
    return None if len(np.unique(groups)) == num_pool else groups
