"""A number of images for each class must name exactly the classes of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tckr.errors import UserError, shown


def require_classes(table: Mapping[str, int], class_names: Sequence[str]) -> None:
    """Raise a UserError if `table` lacks a class or names another one."""
    known = set(class_names)
    unknown = [name for name in table if name not in known]
    missing = [name for name in class_names if name not in table]
    if unknown or missing:
        found = f"it names {shown(unknown[0])}, which is not a class" if unknown else f"it lacks {shown(missing[0])}"
        raise UserError(
            f"generate.per_class must give a number for each of the {len(class_names)} classes: {found}. Name every "
            "class of the data once, as in {cat: 500, dog: 200}; or use balanced or data."
        )
