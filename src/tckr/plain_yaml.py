"""Read and write the YAML of configurations: plain values only, of bounded size, by rules that fit into one paragraph.

A scalar without quotes is null (`null`, `~` or nothing), `true` or `false`, a decimal number (digits without leading zeros;
with a point or an exponent it is a fraction: `.5`, `1e3`), or else a text: so are `yes`, `0100`, `0x10`, `1:30`, `1_000`,
`.inf` and `2024-01-01`. These are the rules of YAML 1.2's core schema without its octal and hexadecimal numbers. Keys are
texts, as they are written. Anchors, aliases and merge keys (`<<`) work; an alias counts as often as it is used. Tags are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MOST_BYTES = 1_000_000
"""Of a file; the names of the 21,841 classes of the largest ImageNet take 700,000."""

MOST_VALUES = 50_000
"""In one text, keys included: read in about one second."""

MOST_LEVELS = 20
MOST_DIGITS = 100
"""Characters of a number: no setting takes one as long, and Python itself refuses some thousands."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of its parser alone: the one in C is ten times as fast, and not in every build of PyYAML."""

CONSTANTS = {"": None, "~": None, "true": True, "false": False} | dict.fromkeys(("null", "Null", "NULL"))
CONSTANTS |= {"True": True, "TRUE": True, "False": False, "FALSE": False}
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FRACTION = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
MERGE = "<<"


class NotPlainError(ValueError):
    """A text that is not read; the message says why, as a clause that can follow a colon."""


@dataclass(frozen=True)
class _Read:
    """A value, how many values it holds with itself and its keys, and how many levels."""

    value: Any
    count: int
    levels: int


def read_scalar(text: str) -> Any:
    """Return the value of a scalar without quotes.

    Raises:
        NotPlainError: a number of more than `MOST_DIGITS` characters.
    """
    if text in CONSTANTS:
        return CONSTANTS[text]
    number = int if INTEGER.fullmatch(text) else float if FRACTION.fullmatch(text) else None
    if number and len(text) > MOST_DIGITS:
        raise NotPlainError(f"a number of {len(text):,} characters, and no setting takes one as long; a text needs quotes")
    return number(text) if number else text


def read_yaml(text: str) -> Any:
    """Return the one value that `text` holds, of dictionaries, lists, texts, numbers, true, false and null.

    Raises:
        NotPlainError: `text` is no YAML, is too large, or holds more than plain values.
    """
    if len(text) > MOST_BYTES:
        raise NotPlainError(f"it has more than {MOST_BYTES:,} characters")
    try:
        return _Reader(yaml.parse(text, LOADER)).document()
    except NotPlainError:
        raise
    except yaml.MarkedYAMLError as error:
        raise NotPlainError(f"{error.problem or error.context}{_place(error.problem_mark)}") from None
    except yaml.reader.ReaderError as error:
        raise NotPlainError(f"character U+{error.character:04X} at position {error.position} is not allowed") from None
    except UnicodeError:
        raise NotPlainError("it holds half a surrogate pair, which is no character") from None
    except (ValueError, OverflowError):
        raise NotPlainError("the number in an escape, or in a line that begins with %, is out of range") from None


def write_yaml(tree: Any) -> str:
    """Return `tree` as YAML that `read_yaml` reads back to the same value."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that this reader would take for a number, besides those that other readers would."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: a value that is there twice is written twice."""
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Return the text, in double quotes if it holds what only those can escape, such as line separators."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _write_text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"(?:{FRACTION.pattern})$"), list("-+.0123456789"))


class _Reader:
    """Builds a value from a parser's events and counts as it goes: what is too much is refused before it is there."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, _Read] = {}
        self._open: set[str] = set()
        self._count = 0

    def document(self) -> Any:
        """Return the value of the only document, None where there is none."""
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value, _ = self._value(next(self._events), level=1)
        next(self._events)  # the end of the document
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise NotPlainError(f"it holds a second document; write one{_place(following.start_mark)}")
        return value

    def _value(self, event: Any, level: int) -> tuple[Any, int]:
        """Return the value that begins with `event`, and how many levels it has."""
        _check_level(level, event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, level)
        if event.tag is not None:
            raise NotPlainError(
                f"tags such as {event.tag[:40]!r} are not read; write a plain value{_place(event.start_mark)}"
            )
        before = self._count
        self._open.add(event.anchor)
        self._add(1)
        value, levels = self._content(event, level)
        self._open.discard(event.anchor)
        self._anchors[event.anchor] = _Read(value, self._count - before, levels)
        return value, levels

    def _alias(self, event: Any, level: int) -> tuple[Any, int]:
        if event.anchor in self._open:
            raise NotPlainError(f"{event.anchor[:40]!r} contains itself{_place(event.start_mark)}")
        if event.anchor not in self._anchors:
            raise NotPlainError(f"there is no anchor {event.anchor[:40]!r}{_place(event.start_mark)}")
        found = self._anchors[event.anchor]
        self._add(found.count)
        _check_level(level + found.levels - 1, event)
        return found.value, found.levels

    def _content(self, event: Any, level: int) -> tuple[Any, int]:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event), 1
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(level)
        values, deepest = [], 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            value, levels = self._value(event, level + 1)
            values.append(value)
            deepest = max(deepest, levels)
        return values, 1 + deepest

    def _mapping(self, level: int) -> tuple[dict[str, Any], int]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        deepest = 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            value, levels = self._value(next(self._events), level + 1)
            deepest = max(deepest, levels)
            if key == MERGE and event.implicit[0]:  # which may be there several times
                for name, part in (item for mapping in _mappings(value, event) for item in mapping.items()):
                    merged.setdefault(name, part)
            elif key in own:
                raise NotPlainError(f"{key[:100]!r} is given twice{_place(event.start_mark)}")
            else:
                own[key] = value
        return merged | own, 1 + deepest

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor is not None:
            raise NotPlainError(f"a key is a text, without anchor and tag{_place(event.start_mark)}")
        self._add(1)
        _check_text(event)
        return event.value

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MOST_VALUES:
            raise NotPlainError(f"it holds more than {MOST_VALUES:,} values, aliases counted as often as they are used")


def _scalar(event: yaml.ScalarEvent) -> Any:
    _check_text(event)
    try:
        return read_scalar(event.value) if event.implicit[0] else event.value
    except NotPlainError as error:
        raise NotPlainError(f"{error}{_place(event.start_mark)}") from None


def _check_text(event: yaml.ScalarEvent) -> None:
    if "\0" in event.value:
        raise NotPlainError(f"it holds a NUL character, which no text or path may have{_place(event.start_mark)}")


def _check_level(level: int, event: Any) -> None:
    if level > MOST_LEVELS:
        raise NotPlainError(f"it nests lists and mappings more than {MOST_LEVELS} levels deep{_place(event.start_mark)}")


def _mappings(value: Any, event: Any) -> list[dict[str, Any]]:
    """Return what a merge key brings in."""
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in parts):
        raise NotPlainError(f"a merge key (<<) takes a mapping, or a list of them{_place(event.start_mark)}")
    return parts


def _place(mark: Any) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
