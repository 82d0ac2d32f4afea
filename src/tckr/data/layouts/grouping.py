"""Read the groups (patients, parts) of pictures from the tables beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tckr.data.layouts.matching import Pictures, match_pictures
from tckr.data.layouts.readings import Wishes
from tckr.data.layouts.survey import Folder
from tckr.data.layouts.tables import Table, UnreadableTableError, read_table
from tckr.data.stored import StoredMap
from tckr.errors import UserError

MOST_SHOWN = 20


def read_group_cells(top: Folder, root: Path, wishes: Wishes) -> tuple[Mapping[str, Any], list[str]]:
    """Return picture -> cell of the column `wishes.grouping.column`, and the tables that have it and name pictures.

    Raises:
        UserError: no table has the column, or two rows assign one picture to two groups.
    """
    column, pictures = wishes.grouping.column, Pictures(top.all_pictures())
    columns: set[str] = set()
    cells: StoredMap[Any] = StoredMap()
    tables: list[str] = []
    for file in top.all_tables():
        try:
            table = read_table(root, file)
        except UnreadableTableError:
            continue
        match = match_pictures(table, pictures, wishes.image_column)
        if match is None:
            continue
        columns |= set(table.columns)
        if column in table.columns:
            _add(cells, table, match.files, wishes)
            tables.append(file)
    if column not in columns:
        found = ", ".join(sorted(columns)[:MOST_SHOWN]) or "none"
        raise UserError(
            f"prepare.group_column={column}, but no table in {wishes.source} that names pictures has this column; columns "
            f"found: {found}. Name one of them, or take groups from the paths with prepare.group_pattern."
        )
    return cells, tables


def _add(cells: StoredMap[Any], table: Table, files: Sequence[str | None], wishes: Wishes) -> None:
    group_of = wishes.grouping.group_of
    for file, cell in zip(files, table.columns[wishes.grouping.column], strict=True):
        if file is None:
            continue
        if group_of(cells.setdefault(file, cell)) != group_of(cell):
            raise UserError(
                f"{table.file} puts {file} into a second group by its column {wishes.grouping.column!r}; a picture belongs "
                "to one group. Correct the table, or join the groups."
            )
