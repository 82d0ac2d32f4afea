"""Find the image and the label column of a table; errors list the existing columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tckr.data.groups import Grouping
from tckr.data.layouts.columns import USUAL_LABELS, usual_caption
from tckr.errors import UserError


@dataclass(frozen=True)
class _Role:
    """Purpose of a column, the kinds it may have (the first is unambiguous), and its usual names."""

    name: str
    fits: tuple[str, ...]
    usual: tuple[str, ...]


IMAGE = _Role("image", ("image", "binary"), ("image", "img", "picture", "pixels", "bytes"))
LABEL = _Role("label", ("class label", "integer", "text", "boolean", "floating point"), USUAL_LABELS)


def choose_columns(kinds: Mapping[str, str], image_column: str, label_column: str) -> tuple[str, str]:
    """Return (image column, label column) of a table.

    Args:
        kinds: column name -> `image`, `class label`, `binary`, `text`, `integer` or another word.
        image_column: the user's choice; empty = the only `image` column, else one with a usual name.
        label_column: the user's choice; empty = the only `class label` column, else one with a usual name.

    Raises:
        UserError: there is no such column, or several are possible; the message lists the columns.
    """
    return _choose(kinds, IMAGE, image_column), _choose(kinds, LABEL, label_column)


def caption_column(kinds: Mapping[str, str], taken: Sequence[str]) -> str:
    """Return the column with captions of the images, by its usual name; empty if there is none."""
    return usual_caption({name: () for name, kind in kinds.items() if kind == "text" and name not in taken}) or ""


def require_group_column(grouping: Grouping, columns: Iterable[str]) -> Grouping:
    """Return `grouping` if a table with these columns contains the groups.

    Raises:
        UserError: it has no such column, or groups should be read from paths, which a table of images does not have.
    """
    found = list(columns)
    if grouping and grouping.column not in found:
        setting = f"prepare.group_column={grouping.column}" if grouping.column else "prepare.group_pattern without a column"
        raise UserError(
            f"{setting} cannot be read from a table of images; columns found: {', '.join(found) or 'none'}. Set the "
            "column of the groups, prepare.group_column=NAME (prepare.group_pattern then searches in its text)."
        )
    return grouping


def _choose(kinds: Mapping[str, str], role: _Role, named: str) -> str:
    found = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
    if named:
        if kinds.get(named) in role.fits:
            return named
        raise UserError(
            f"prepare.{role.name}_column={named} is not a valid {role.name} column; columns found: {found}. Set one of them."
        )
    certain = [name for name, kind in kinds.items() if kind == role.fits[0]]
    if len(certain) == 1:
        return certain[0]
    usual = [name for name in role.usual if kinds.get(name) in role.fits]
    if usual:
        return usual[0]
    problem = f"{len(certain)} {role.name} columns" if certain else f"no {role.name} column"
    raise UserError(f"found {problem}; columns found: {found}. Set the one to use: prepare.{role.name}_column=NAME.")
