"""The one error type for what a user can cause, and how a message shows what a user wrote."""

from __future__ import annotations

import reprlib
import unicodedata
from pathlib import PurePath

MOST_BYTES = 4000
"""Of a message. One that lists more says so by an ellipsis."""

MOST_CHARACTERS = 200
"""Of one value in a message."""

JOINERS = "\u200c\u200d"
"""Invisible, but Persian, Hindi and others are not written without them, and they join what stands beside them only."""
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that a terminal obeys instead of showing: control, format (such as the direction of writing), halves of
characters, and line ends."""


class UserError(Exception):
    """A problem the user can fix; the message says what was found, what was expected and what to do."""

    def __init__(self, message: str) -> None:
        """Keep `message`, cut to `MOST_BYTES`."""
        super().__init__(cut_message(message))


def cut_message(message: str) -> str:
    """Return `message`, its middle left out if it has more than `MOST_BYTES` bytes: its end says what to do."""
    written = message.encode("utf-8", "backslashreplace")
    if len(written) <= MOST_BYTES:
        return message
    half = MOST_BYTES // 2 - 10
    return f"{written[:half].decode('utf-8', 'ignore')} [...] {written[-half:].decode('utf-8', 'ignore')}"


def shown(value: object) -> str:
    """Return `value` as a message shows it: escaped, its middle left out if it has more than `MOST_CHARACTERS`.

    A path is shown without quotes, everything else as Python writes it.
    """
    text = repr(str(value))[1:-1] if isinstance(value, PurePath) else _SHORT.repr(value)
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2 - 2
    return f"{text[:half]}...{text[-half:]}"


def shown_name(name: str) -> str:
    """Return the name of a setting as a message shows it: a plain one without quotes."""
    return shown(name).strip("'") if name.isprintable() else shown(name)


class _Short(reprlib.Repr):
    """Writes a few items of each container, and few characters of each text."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 4, 6, 6, 4
        self.maxstring = self.maxother = self.maxlong = MOST_CHARACTERS - 10

    def repr_int(self, number: int, level: int) -> str:
        """Return the digits, or their number: Python writes no more than some thousands."""
        return repr(number) if number.bit_length() < 500 else f"a number of {int(number.bit_length() * 0.30103):,} digits"


_SHORT = _Short()


def printable(text: str) -> str:
    r"""Return `text` on one line, with control and format characters and line ends written as escapes such as `\x1b`."""
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if char in JOINERS or unicodedata.category(char) not in HIDDEN:
        return char
    return char.encode("unicode_escape").decode()
