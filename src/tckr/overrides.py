"""Parse `key=value` texts into trees of settings, and merge such trees."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tckr.errors import UserError, shown, shown_name
from tckr.plain_yaml import NotPlainError, read_scalar, read_yaml

MOST_PARTS = 10
"""Maximum number of parts in a dotted name; no setting has more."""


def names_given(overrides: Sequence[str]) -> set[str]:
    """Return the name of every setting in a list of `key=value` texts.

    Raises:
        UserError: a text has another form.
    """
    return {name for text in overrides for name in names_in(parse_override(text))}


def names_in(tree: Mapping[str, Any]) -> set[str]:
    """Return the name of every setting in a tree."""
    return {".".join(map(str, path)) for path in _paths(tree)}


def names_swept(section: Any) -> set[str]:
    """Return the name of every setting in a section `sweep`. `tckr.sweep.grid` refuses sections of another form."""
    grids = section if isinstance(section, list) else [section]
    swept = [item for grid in grids if isinstance(grid, Mapping) for item in grid.items()]
    points = [(str(name), value) for name, values in swept for value in (values if isinstance(values, list) else [values])]
    return {inside for name, value in points for inside in names_in(nested(name, value))}


def parse_override(text: str) -> dict[str, Any]:
    """Return {"section": {"setting": value}} for `section.setting=value`.

    Raises:
        UserError: another form, or an invalid value.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"found {shown(text)}; an override has the form section.setting=value, e.g. generate.cardinality=5")
    try:
        return nested(key.strip(), read_value(value))
    except NotPlainError as error:
        raise UserError(
            f"the value of {shown(text)} cannot be read: {error}; put quotes around special characters"
        ) from None


def read_value(text: str) -> Any:
    """Return the value after `=`: parsed as YAML if it starts with a bracket or a quote, else as one scalar.

    So `n: c`, `a # b` and `*x` are plain texts.

    Raises:
        NotPlainError: the value is invalid.
    """
    text = text.strip()
    return read_yaml(text) if text.startswith(("[", "{", '"', "'")) else read_scalar(text)


def nested(name: str, value: Any) -> dict[str, Any]:
    """Return {"section": {"setting": value}} for `section.setting`."""
    parts = name.split(".")
    if len(parts) > MOST_PARTS:
        raise UserError(f"unknown setting {shown_name(name)}. See docs/settings.md for all settings.")
    return functools.reduce(lambda inside, part: {part: inside}, reversed(parts), value)


def refuse_twice(trees: Iterable[Mapping[str, Any]]) -> None:
    """Raise a UserError if two of the trees contain the same setting; otherwise the last would silently win."""
    known: set[tuple[str, ...]] = set()
    above: set[tuple[str, ...]] = set()
    for tree in trees:
        paths = set(_paths(tree))
        sections = {path[:length] for path in paths for length in range(1, len(path))}
        if twice := sorted(paths & known | paths & above | sections & known):
            raise UserError(f"setting {shown_name('.'.join(twice[0]))} is given twice; remove one of the two")
        known |= paths
        above |= sections


def _paths(tree: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of names to each value of a tree."""
    for name, value in tree.items():
        inside = isinstance(value, Mapping) and value
        yield from _paths(value, (*prefix, name)) if inside else [(*prefix, name)]


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated by `change`; mappings in both are merged recursively."""
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
