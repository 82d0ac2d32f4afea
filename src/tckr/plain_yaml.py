"""Read and write configurations as YAML: plain values of limited size, with simple rules for values without quotes.

A scalar without quotes is null (`null`, `~` or nothing), `true` or `false`, a decimal number (digits without leading zeros;
with a point or an exponent it is a float: `.5`, `1e3`), or otherwise a text: `yes`, `0100`, `0x10`, `1:30`, `1_000`,
`.inf` and `2024-01-01` are texts. These are the rules of YAML 1.2's core schema without its octal and hexadecimal numbers.
Keys are texts as written. Anchors, aliases and merge keys (`<<`) work; an alias counts as often as it is used. Tags are
an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MOST_BYTES = 1_000_000
"""Maximum bytes of a file. For comparison: the names of the 21,841 classes of the largest ImageNet take 700,000."""

MOST_VALUES = 50_000
"""Maximum values in one text, including keys; this many are read in about one second."""

MOST_LEVELS = 20
MOST_DIGITS = 100
"""Maximum characters of a number. No setting needs more, and Python itself refuses some thousands."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The events of PyYAML's parser. The C version is ten times as fast, but some builds of PyYAML lack it."""

CONSTANTS = {"": None, "~": None, "true": True, "false": False} | dict.fromkeys(("null", "Null", "NULL"))
CONSTANTS |= {"True": True, "TRUE": True, "False": False, "FALSE": False}
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FRACTION = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
MERGE = "<<"


class NotPlainError(ValueError):
    """A text that is rejected; the message is a reason that can follow a colon."""


@dataclass(frozen=True)
class _Read:
    """A value, the number of values in it (itself, its items and keys), and its nesting depth."""

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
        raise NotPlainError(f"a number of {len(text):,} characters is longer than any setting allows; put a text in quotes")
    return number(text) if number else text


def read_yaml(text: str) -> Any:
    """Return the value that `text` contains: dictionaries, lists, texts, numbers, true, false and null.

    Raises:
        NotPlainError: `text` is not YAML, is too large, or contains other than plain values.
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
        raise NotPlainError("it contains half of a surrogate pair, which is not a character") from None
    except (ValueError, OverflowError):
        raise NotPlainError("the number in an escape, or in a line that starts with %, is out of range") from None


def write_yaml(tree: Any) -> str:
    """Return `tree` as YAML that `read_yaml` reads back to the same value."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that this reader or other readers would take for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: a value that occurs twice is written twice."""
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Return the text as a YAML node, in double quotes if it contains characters that need escapes, e.g. line separators."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _write_text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"(?:{FRACTION.pattern})$"), list("-+.0123456789"))


class _Reader:
    """Builds a value from the parser's events and counts values on the way; it stops at the limit, before memory is used."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, _Read] = {}
        self._open: set[str] = set()
        self._count = 0

    def document(self) -> Any:
        """Return the value of the only document, or None if there is no document."""
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value, _ = self._value(next(self._events), level=1)
        next(self._events)  # the end of the document
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise NotPlainError(f"it contains a second document; write only one{_place(following.start_mark)}")
        return value

    def _value(self, event: Any, level: int) -> tuple[Any, int]:
        """Return the value that starts with `event`, and its nesting depth."""
        _check_level(level, event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, level)
        if event.tag is not None:
            raise NotPlainError(
                f"tags such as {event.tag[:40]!r} are not supported; write a plain value{_place(event.start_mark)}"
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
            if key == MERGE and event.implicit[0]:  # several merge keys are allowed
                for name, part in (item for mapping in _mappings(value, event) for item in mapping.items()):
                    merged.setdefault(name, part)
            elif key in own:
                raise NotPlainError(f"{key[:100]!r} is given twice{_place(event.start_mark)}")
            else:
                own[key] = value
        return merged | own, 1 + deepest

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor is not None:
            raise NotPlainError(f"a key must be a text without anchor and tag{_place(event.start_mark)}")
        self._add(1)
        _check_text(event)
        return event.value

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MOST_VALUES:
            raise NotPlainError(f"it contains more than {MOST_VALUES:,} values; an alias counts each time it is used")


def _scalar(event: yaml.ScalarEvent) -> Any:
    _check_text(event)
    try:
        return read_scalar(event.value) if event.implicit[0] else event.value
    except NotPlainError as error:
        raise NotPlainError(f"{error}{_place(event.start_mark)}") from None


def _check_text(event: yaml.ScalarEvent) -> None:
    if "\0" in event.value:
        raise NotPlainError(f"it contains a NUL character, which is not allowed{_place(event.start_mark)}")


def _check_level(level: int, event: Any) -> None:
    if level > MOST_LEVELS:
        raise NotPlainError(f"it nests lists and mappings more than {MOST_LEVELS} levels deep{_place(event.start_mark)}")


def _mappings(value: Any, event: Any) -> list[dict[str, Any]]:
    """Return the mappings that a merge key refers to."""
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in parts):
        raise NotPlainError(f"a merge key (<<) takes a mapping, or a list of them{_place(event.start_mark)}")
    return parts


def _place(mark: Any) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
