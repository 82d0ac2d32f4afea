"""Make class names valid for prompts, pages and file names, and detect names that look the same."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tckr.data.layouts.names import look_alike
from tckr.errors import UserError

MAX_CHARACTERS = 100
REPLACED = dict.fromkeys(map(ord, '/\\:"|?*'), "-") | {ord("<"): " under ", ord(">"): " over "}
"""Path separators, characters that file systems forbid, HTML brackets (replaced by words, so that `<5 mm` and `>5 mm` stay
different), and the colon, which ends the name in `"name: caption"`."""

LOOK_ALIKES = str.maketrans(  # Cyrillic, Greek, IPA
    "АВЕЅZІЈКМНОРСТУХасеорхуіјѕһԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρıɑ",  # noqa: RUF001
    "ABESZIJKMHOPCTYXaceopxyijshdqwABEZHIKMNOPTYXovpia",
)
"""Cyrillic and Greek letters that look like Latin ones in most fonts (a small part of Unicode TR 39, confusables)."""


@dataclass(frozen=True)
class CleanNames:
    """Class names after cleaning.

    Attributes:
        names: source label -> name used; names that differ only in composition (NFC, NFD) become one class.
        refused: source label -> (reason, detail).
    """

    names: dict[int, str]
    refused: dict[int, tuple[str, str]]


def renamed(names: Sequence[str], changes: Mapping[str, str]) -> list[str]:
    """Return `names` changed by `changes` (source's name -> name to use); each must be an old or a new name.

    Classes whose names differ only in case, spaces and dashes become one class if they get the same name.

    Raises:
        UserError: a class is missing in `changes`, or two different classes would get the same name.
    """
    unknown = [name for name in names if name not in changes and name not in changes.values()] if changes else []
    if unknown:
        raise UserError(
            f"prepare.class_names does not name {len(unknown)} of {len(names)} classes, first {unknown[0]!r}; name every "
            "class of the source, or remove the setting"
        )
    found = [changes.get(name, name) for name in names]
    doubled = [name for name, count in Counter(found).items() if count > 1]
    for doubt in doubled if changes else ():
        merged = {look_alike(old.strip()) for old, new in zip(names, found, strict=True) if new == doubt}
        if len(merged) > 1:
            raise UserError(f"prepare.class_names gives {doubt!r} to several classes; give each a different name")
    return found


def clean_name(name: str) -> str:
    """Return `name` in NFC without control and invisible characters; unsafe ones become `-`; spaces are collapsed."""
    spaced = "".join(" " if character.isspace() else character for character in unicodedata.normalize("NFC", name))
    visible = "".join(character for character in spaced if unicodedata.category(character)[0] != "C")
    words = visible.translate(REPLACED).split()
    return " ".join(words).strip(". ")


def printable(name: str) -> str:
    """Return `name` with bytes that are not UTF-8 (lone surrogates in Python) written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def skeleton(name: str) -> str:
    """Return a form that is equal for names that a reader may confuse: compatibility forms, look-alikes, dashes.

    Case is a difference, because sets of letters have classes `A` and `a`.
    """
    latin = unicodedata.normalize("NFKC", name).translate(LOOK_ALIKES)
    return "".join("-" if character in "_ " or unicodedata.category(character) == "Pd" else character for character in latin)


def clean_names(names: Sequence[str]) -> CleanNames:
    """Clean every class name; reject unreadable names, too long names, and all of several that look the same."""
    cleaned = {label: clean_name(name) for label, name in enumerate(names)}
    refused: dict[int, tuple[str, str]] = {}
    looks: dict[str, set[str]] = {}
    for label, name in cleaned.items():
        if not name.strip("-") and name != names[label]:
            refused[label] = ("class_name_empty", f"{names[label]!r}")
        elif len(name) > MAX_CHARACTERS:
            refused[label] = ("class_name_too_long", f"{len(name)} characters; at most {MAX_CHARACTERS}")
        else:
            looks.setdefault(skeleton(name), set()).add(_composed(names[label]))
    for label, name in cleaned.items():
        alike = looks.get(skeleton(name), set())
        if label not in refused and len(alike) > 1:
            refused[label] = ("class_name_ambiguous", f"looks like {', '.join(repr(other) for other in sorted(alike))}")
    return CleanNames({label: name for label, name in cleaned.items() if label not in refused}, refused)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
