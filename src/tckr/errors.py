"""The one error a user can cause: printed without a traceback.

Every message says what was found, what was expected and what to do, on one line. Broken invariants of our own use `assert`;
anything else may crash.
"""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"
"""Invisible, but Persian, Hindi and others are not written without them, and they join what stands beside them only."""
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that a terminal obeys instead of showing: control, format (such as the direction of writing), halves of
characters, and line ends."""


class UserError(Exception):
    """Report a problem that the user can fix; the command line prints the message and exits with status 2."""


def printable(text: str) -> str:
    r"""Return `text` on one line, with control and format characters and line ends written as escapes such as `\x1b`."""
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if char in JOINERS or unicodedata.category(char) not in HIDDEN:
        return char
    return char.encode("unicode_escape").decode()
