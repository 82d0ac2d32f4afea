"""The error type for problems that a user can fix, and the display of user input in messages."""

from __future__ import annotations

import reprlib
import unicodedata
from pathlib import PurePath

MOST_BYTES = 4000
"""Maximum length of a message in bytes. A longer one is cut and marked with an ellipsis."""

MOST_CHARACTERS = 200
"""Maximum length of one displayed value."""

JOINERS = "\u200c\u200d"
"""Invisible characters that Persian, Hindi and other scripts need; they only affect the letters beside them."""
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that would control a terminal: control and format characters (such as writing direction), lone
surrogates, and line separators."""


class UserError(Exception):
    """A problem that the user can fix. The message, one line, states what was found, what was expected and what to do."""

    def __init__(self, message: str) -> None:
        """Store `message`, cut to `MOST_BYTES`."""
        super().__init__(cut_message(message))


def cut_message(message: str) -> str:
    """Return `message`; if it exceeds `MOST_BYTES`, its middle is removed, because its end states what to do."""
    written = message.encode("utf-8", "backslashreplace")
    if len(written) <= MOST_BYTES:
        return message
    half = MOST_BYTES // 2 - 10
    return f"{written[:half].decode('utf-8', 'ignore')} [...] {written[-half:].decode('utf-8', 'ignore')}"


def shown(value: object) -> str:
    """Return `value` for a message: escaped, and shortened in the middle if it exceeds `MOST_CHARACTERS`.

    A path is shown without quotes, everything else as Python writes it.
    """
    text = repr(str(value))[1:-1] if isinstance(value, PurePath) else _SHORT.repr(value)
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2 - 2
    return f"{text[:half]}...{text[-half:]}"


def shown_name(name: str) -> str:
    """Return the name of a setting for a message; quotes only where needed."""
    return shown(name).strip("'") if name.isprintable() else shown(name)


class _Short(reprlib.Repr):
    """Abbreviates containers to a few items and texts to a few characters."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 4, 6, 6, 4
        self.maxstring = self.maxother = self.maxlong = MOST_CHARACTERS - 10

    def repr_int(self, number: int, level: int) -> str:
        """Return the digits; of a very large number only their count, because Python refuses to print it."""
        return repr(number) if number.bit_length() < 500 else f"a number of {int(number.bit_length() * 0.30103):,} digits"


_SHORT = _Short()


def printable(text: str) -> str:
    r"""Return `text` on one line, with control and format characters and line breaks as escapes such as `\x1b`."""
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if char in JOINERS or unicodedata.category(char) not in HIDDEN:
        return char
    return char.encode("unicode_escape").decode()
