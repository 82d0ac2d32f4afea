"""Read grids of settings and list their variants."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tckr.config import run_name
from tckr.errors import UserError, shown, shown_name
from tckr.overrides import read_value
from tckr.plain_yaml import NotPlainError, read_yaml

Grid = Mapping[str, Sequence[Any]]
"""Setting -> its values; the grid's variants are the product of all lists."""

MOST_VARIANTS = 10_000
"""Maximum number of variants of a sweep; each is a run with its own folder."""

FORM = "--over section.setting=value,value,..., e.g. --over generate.cardinality=0.1,1,10 --over seed=0,1,2"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One point of a sweep: the name of its folder, and its values of the swept settings."""

    name: str
    changes: Mapping[str, Any]


def parse_over(texts: Sequence[str]) -> Grid:
    """Return the grid of `setting=value,value,...` texts; values are YAML, a value with a comma needs quotes.

    Raises:
        UserError: a text has another form or no value, or a setting is given twice.
    """
    grid: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UserError(f"found --over {shown(text)}; expected {FORM}")
        if name in grid:
            name = shown_name(name)
            raise UserError(f"found two --over {name}; give its values in one list: --over {name}=value,value,...")
        grid[name] = _values(text, values.strip())
    return grid


def read_grids(section: Any, origin: str) -> list[Grid]:
    """Return the grids of a YAML section: a list of mappings from settings to lists of values, or one such mapping.

    A setting with a single value instead of a list is fixed in its grid.

    Raises:
        UserError: the section has another form or contains no grid.
    """
    grids = [section] if isinstance(section, dict) else section
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) and grid for grid in grids):
        raise UserError(
            f"the section `sweep` of {shown_name(origin)} contains {shown(section)}; expected grids such as "
            "`sweep: [{generate.cardinality: [0.1, 1], seed: [0, 1, 2]}]`"
        )
    return [{str(name): values if isinstance(values, list) else [values] for name, values in grid.items()} for grid in grids]


def lay_out(grids: Sequence[Grid]) -> list[Variant]:
    """Return the variants of all grids in order; a variant of several grids appears once.

    Raises:
        UserError: an empty list, a value given twice, a setting that changes no result, colliding names, or more than
            `MOST_VARIANTS` variants.
    """
    number = sum(math.prod(len(values) for values in grid.values()) for grid in grids)
    if number > MOST_VARIANTS:
        raise UserError(f"the sweep has {shown(number)} variants; expected at most {MOST_VARIANTS:,}; remove some values")
    for grid in grids:
        for name, values in grid.items():
            _check(name, values)
    points = [dict(zip(grid, values, strict=True)) for grid in grids for values in itertools.product(*grid.values())]
    points = list({_text(sorted(point.items())): point for point in points}.values())
    labels = short_names([name for point in points for name in point])
    names = [run_name("_".join(f"{labels[key]}-{_plain(value)}" for key, value in point.items())) for point in points]
    _refuse_collisions(names, points)
    return [Variant(name=name, changes=point) for name, point in zip(names, points, strict=True)]


def short_names(settings: Sequence[str]) -> dict[str, str]:
    """Return the last part of each setting's name, or the complete name if two settings share the last part."""
    last = Counter(name.rsplit(".", 1)[-1] for name in set(settings))
    return {name: name.rsplit(".", 1)[-1] if last[name.rsplit(".", 1)[-1]] == 1 else name for name in settings}


def _values(text: str, values: str) -> list[Any]:
    """Return the values of a comma-separated list. Without quotes or brackets `n: c` is a text, not a mapping."""
    if not values:
        raise UserError(f"found --over {shown(text)} without a value; expected {FORM}")
    try:
        if any(mark in values for mark in "\"'[{"):
            return list(read_yaml(f"[{values}]"))
        return [read_value(part) for part in values.split(",")]
    except NotPlainError as error:
        raise UserError(
            f"the values of --over {shown(text)} are not YAML: {error}; put quotes around special characters"
        ) from None


def _check(name: str, values: Sequence[Any]) -> None:
    if name.split(".")[0] == "execution":
        raise UserError(
            f"{shown_name(name)} determines where to compute and changes no result, so a sweep over it is "
            "useless; set it once"
        )
    if not values:
        raise UserError(f"the sweep over {shown_name(name)} has an empty list of values; give at least one")
    written = Counter(_text(_same(value)) for value in values)
    doubled = [value for value in values if written[_text(_same(value))] > 1]
    if doubled:
        raise UserError(f"the sweep over {shown_name(name)} has the value {shown(doubled[0])} twice; remove one")


def _same(value: Any) -> Any:
    """Return a key that is equal for equal values: 1 and 1.0 are equal, true and 1 are not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _refuse_collisions(names: Sequence[str], points: Sequence[Mapping[str, Any]]) -> None:
    seen: dict[str, Mapping[str, Any]] = {}
    for name, point in zip(names, points, strict=True):
        other = seen.setdefault(name.lower(), point)  # some file systems do not distinguish A from a
        if other is not point:
            raise UserError(
                f"the variants {shown(other)} and {shown(point)} would have the same folder {name}; put them into two "
                "sweeps (--name)"
            )


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
