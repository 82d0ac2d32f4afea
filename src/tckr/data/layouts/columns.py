"""Interpret a column of labels: class names, numbers, or something that cannot be a class. No input or output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tckr.data.layouts.names import is_group_column, look_alike, use_of
from tckr.data.stored import StoredList
from tckr.errors import shown

USUAL_LABELS = ("label", "labels", "class", "target", "class_name", "category", "diagnosis", "dx", "y")
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "usage", "phase", "data set", "dataset", "fold")
CAPTION_COLUMNS = ("text", "caption", "prompt", "description", "report")


class NoClassError(Exception):
    """The column does not give a class for each row; the message says why, and what to do."""


def as_labels(name: str, values: Sequence[Any]) -> Sequence[str | int | None]:
    """Return the label of each row: text unchanged, integers as int, None for an empty cell.

    Numbers that pandas wrote as 0.0 and 1.0 count as integers. A negative number means no class.

    Raises:
        NoClassError: the column contains measurements, several labels in one cell, or one class and negative numbers.
    """
    several = next((value for value in values if isinstance(value, (list, tuple, dict))), None)
    if several is not None:
        raise NoClassError(f"column {name!r} holds several labels for a picture, such as {shown(several)}. {_TAKE_ONE}")
    texts = Counter(str(value) for value in values if value is not None)
    _refuse_joined(name, texts)
    numbers = {text: whole_number(text) for text in texts}
    _refuse_negative(name, [number for number in numbers.values() if number is not None], len(texts))
    labels: dict[str, str | int | None] = {text: text for text in texts}
    if all(number is not None for number in numbers.values()):
        labels = {text: number if number is not None and number >= 0 else None for text, number in numbers.items()}
    elif all(map(_is_number, texts)) and not all(text.isdecimal() for text in texts):  # 007: codes, not numbers
        raise NoClassError(
            f"column {name!r} holds measures, not classes: {len(texts)} different numbers such as {next(iter(texts))}. "
            "Write a column that names the class of each row."
        )
    return StoredList(None if value is None else labels[str(value)] for value in values)


def _refuse_negative(name: str, numbers: Sequence[int], num_values: int) -> None:
    """Raise for labels such as -1 and 1: without those below 0, one class would remain."""
    classes = {number for number in numbers if number >= 0}
    if len(numbers) == num_values and len(classes) < 2 and len(set(numbers) - classes):
        raise NoClassError(
            f"column {name!r} holds {', '.join(map(str, sorted(set(numbers))[:4]))}, and a negative number means that a "
            "picture has no class. If they are classes, write their names into the column."
        )


_TAKE_ONE = (
    "TCKR needs exactly one class for each picture. Write a column with the one label to use, or keep only rows that have "
    "one, and name it: prepare.label_column=NAME."
)


def refuse_unclassed(name: str, values: Mapping[Any, int]) -> None:
    """Raise if the values of a column (with the number of rows of each) are measurements, or several labels in one cell.

    Raises:
        NoClassError: the message says what was found and what to do.
    """
    measured = [value for value in values if isinstance(value, float) and value == value and not value.is_integer()]
    if measured:
        raise NoClassError(
            f"column {name!r} holds measures, not classes, such as {measured[0]}. Write a column that names the class of "
            "each row."
        )
    _refuse_joined(name, Counter({value: rows for value, rows in values.items() if isinstance(value, str)}))


def alike(names: Sequence[str]) -> str:
    """Return a sentence about class names that differ only in case, spaces or dashes; empty if there are none."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(look_alike(name.strip()), name)
        if other != name:
            return (
                f"the classes {shown(other)} and {shown(name)} differ only in case, spaces or dashes; to merge them, "
                "give both the same name in prepare.class_names"
            )
    return ""


def _refuse_joined(name: str, counts: Counter[str]) -> None:
    """Raise for `A|B`, and for `A;B` or `A,B` if `A` or `B` is also a label: several labels in one cell."""
    for separator in ("|", ";", ","):
        joined = {text for text in counts if separator in text}
        single = {text.strip() for text in counts.keys() - joined}
        several = [text for text in joined if single & {part.strip() for part in text.split(separator)}]
        several = sorted(several or (joined if separator == "|" else ()))
        if several:
            rows = sum(counts[text] for text in several)
            raise NoClassError(
                f"column {name!r} holds several labels in one cell ({rows:,} rows), such as {shown(several[0])}. {_TAKE_ONE}"
            )


def whole_number(text: str) -> int | None:
    """Return the integer that `text` states (3, 3.0, true), else None; 007 is a code."""
    if text in {"True", "False"}:
        return None
    whole, _, rest = text.strip().partition(".")
    digits = whole.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or rest.strip("0") or len(digits) > 18:
        return None
    return int(whole) if str(int(digits)) == digits else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def label_order(values: Iterable[str | int | None]) -> list[str | int]:
    """Return the distinct labels: numbers in ascending order, then texts in alphabetical order."""
    found = {value for value in values if value is not None}
    numbers = sorted(value for value in found if isinstance(value, int))
    return [*numbers, *sorted(value for value in found if isinstance(value, str))]


def split_columns(columns: Mapping[str, Sequence[Any]], test_split: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return the columns with a usual name for splits: name -> its values that name a split, and the others."""
    found = {}
    for name, values in columns.items():
        if name.strip().lower() in SPLIT_COLUMNS:
            texts = sorted({str(value) for value in values if value is not None})
            found[name] = (
                [text for text in texts if use_of(text, test_split)],
                [text for text in texts if not use_of(text, test_split)],
            )
    return found


def find_label_column(columns: Mapping[str, Sequence[Any]], taken: set[str], named: str) -> str | None:
    """Return the label column: the `named` one, one with a usual name, or the only one left; None if there is none.

    `taken` are columns of paths and of splits.

    Raises:
        NoClassError: two columns with usual names group the rows differently.
    """
    if named:
        return named if named in columns else None
    free = [name for name in columns if name not in taken]
    usual = sorted((name for name in free if is_usual_label(name)), key=lambda name: USUAL_LABELS.index(_key(name)))
    for other in usual[1:]:
        if not _same_groups(columns[usual[0]], columns[other]):
            raise NoClassError(
                f"the columns {usual[0]!r} and {other!r} can both be the labels, but group the rows differently. Name the "
                "column to read: prepare.label_column=NAME."
            )
    if usual:
        return usual[0]
    left = [name for name in free if name.strip().lower() not in (*CAPTION_COLUMNS, "index") and not is_group_column(name)]
    return left[0] if len(left) == 1 else None


def _same_groups(one: Sequence[Any], other: Sequence[Any]) -> bool:
    pairs = {(str(left), str(right)) for left, right in zip(one, other, strict=True)}
    return len(pairs) == len({left for left, _ in pairs}) == len({right for _, right in pairs})


def is_usual_label(name: str) -> bool:
    """Return whether a column has a usual name for labels."""
    return _key(name) in USUAL_LABELS


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def one_hot_columns(columns: Mapping[str, Sequence[Any]], taken: set[str]) -> list[str]:
    """Return the columns that contain only 0 and 1, one column for each class."""
    return [name for name, values in columns.items() if name not in taken and _is_one_hot(values)]


def _is_one_hot(values: Iterable[Any]) -> bool:
    found: set[int | None] = set()
    for value in values:
        if value is not None:
            found.add(whole_number(str(value)))
        if not found <= {0, 1}:
            return False
    return len(found) == 2


def usual_caption(columns: Mapping[str, Sequence[Any]]) -> str | None:
    """Return the column with a text about each picture; None if there is none."""
    return next((name for name in columns if name.strip().lower() in CAPTION_COLUMNS), None)


def group_of(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return the column that looks like the number of a patient or another group; empty if there is none."""
    return next((name for name in columns if is_group_column(name)), "")
