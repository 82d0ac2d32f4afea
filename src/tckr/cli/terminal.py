"""The way to a terminal: names, paths and messages are shown and never obeyed.

A name of a file or class may hold escape sequences that colour, move or hide text, line ends that forge a message, marks
that turn the direction of writing, or what rich reads as markup. `printable` makes a text one line of visible characters,
`escape` one that rich prints literally, and `Terminal` is the console that lets no control character pass.

Results go to standard output, and so does the JSON of `--json`; progress, notices and errors go to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape as escape_markup
from rich.segment import Segment

from tckr.errors import printable


def escape(text: object) -> str:
    """Return `text` for use inside rich's markup: literal, on one line, without control characters."""
    return escape_markup(printable(str(text)))


def complain(text: str) -> None:
    """Write `text` as one line to standard error."""
    sys.stderr.write(f"{printable(text)}\n")


def write_json(value: Any) -> None:
    """Write `value` as JSON to standard output, in ASCII: no character of it can change the terminal."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


class Terminal(Console):
    """A console that shows control characters instead of sending them; its own colours and lines pass."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Write to standard output, or to standard error."""
        super().__init__(highlight=False, emoji=False, stderr=stderr)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is to be written, as characters that can be seen."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                text = "\n".join(printable(line) for line in segment.text.split("\n"))
                yield Segment(text, segment.style)
