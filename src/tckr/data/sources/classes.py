"""Map the labels of several tables, or splits, to common classes: by name if there are names, else by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def join_classes(
    names: Sequence[Sequence[str]], values: Sequence[Mapping[Any, int]]
) -> tuple[list[str], list[dict[Any, int]]]:
    """Return the class names, and for each table the class of each value of its label column.

    Args:
        names: for each table, the names of its numbers, in order; empty if it has none.
        values: for each table, the values that occur in it. A negative number means no class.

    The order is that of the first table with names, followed by additional names of other tables; without names it is the
    order of the values. Numbers in a table without names are indices into the names of the first table that has some.
    """
    first = next((list(given) for given in names if given), [])
    tables = [
        dict(enumerate(given))
        if given
        else {value: _name(value, first) for value in _ordered(found) if not _is_outside(value, first)}
        for given, found in zip(names, values, strict=True)
    ]
    if first:
        order = list(dict.fromkeys([*first, *(name for table in tables for name in table.values())]))
    else:
        order = [_name(value, []) for value in _ordered({value for table in tables for value in table})]
    label = {name: number for number, name in enumerate(order)}
    return order, [{value: label[name] for value, name in table.items()} for table in tables]


def _ordered(values: Any) -> list[Any]:
    known = [value for value in values if value is not None and (isinstance(value, str) or value >= 0)]
    return sorted(known, key=lambda value: (isinstance(value, str), value))


def _name(value: Any, first: Sequence[str]) -> str:
    if first and not isinstance(value, str):
        return first[int(value)]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_outside(value: Any, first: Sequence[str]) -> bool:
    """Return whether a number is not an index into the names of another table."""
    return bool(first) and not isinstance(value, str) and value >= len(first)
