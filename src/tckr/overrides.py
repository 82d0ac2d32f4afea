"""Trees of settings: from `key=value` texts, one merged into another. Knows no setting."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tckr.errors import UserError, shown, shown_name
from tckr.plain_yaml import NotPlainError, read_scalar, read_yaml

MOST_PARTS = 10
"""Of a dotted name: no setting has as many."""


def names_given(overrides: Sequence[str]) -> set[str]:
    """Return the name of every setting that some `key=value`s set.

    Raises:
        UserError: one has another form.
    """
    return {".".join(path) for text in overrides for path in _paths(parse_override(text))}


def parse_override(text: str) -> dict[str, Any]:
    """Return {"section": {"setting": value}} for `section.setting=value`.

    Raises:
        UserError: another form, or a value that is not read.
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
    """Return the value that stands behind `=`: YAML if it begins with a bracket or a quote, else one scalar.

    So `n: c`, `a # b` and `*x` are the texts that they seem to be.

    Raises:
        NotPlainError: it is no such value.
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
    """Raise when two of the trees set one setting: the last would win without a word."""
    known: set[tuple[str, ...]] = set()
    above: set[tuple[str, ...]] = set()
    for tree in trees:
        paths = set(_paths(tree))
        sections = {path[:length] for path in paths for length in range(1, len(path))}
        if twice := sorted(paths & known | paths & above | sections & known):
            raise UserError(f"setting {shown_name('.'.join(twice[0]))} is given twice; drop one of the two")
        known |= paths
        above |= sections


def _paths(tree: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to each value of a tree."""
    for name, value in tree.items():
        inside = isinstance(value, Mapping) and value
        yield from _paths(value, (*prefix, name)) if inside else [(*prefix, name)]


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with what `change` sets; mappings that both have are merged in turn."""
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
