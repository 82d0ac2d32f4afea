"""Output to a terminal. Names, paths and messages from outside are printed literally.

The name of a file or class may contain escape sequences that colour, move or hide text, line breaks that forge a message,
characters that change the writing direction, or rich markup. `printable` turns a text into one line of visible
characters, `escape` also disables rich markup, and `Terminal` is a console that blocks control characters.

Results and the JSON of `--json` go to standard output; progress, notices and errors go to standard error.
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
    """Return `text` on one line, without markup and control characters, for use inside rich markup."""
    return escape_markup(printable(str(text)))


def complain(text: str) -> None:
    """Write `text` as one line to standard error."""
    sys.stderr.write(f"{printable(text)}\n")


def write_json(value: Any) -> None:
    """Write `value` as JSON to standard output, in ASCII, so that no character can control the terminal."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


class Terminal(Console):
    """A console that shows control characters instead of sending them. Its own colours and line breaks work."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Write to standard output, or to standard error."""
        super().__init__(highlight=False, emoji=False, stderr=stderr)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments to write, with control characters made visible."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                text = "\n".join(printable(line) for line in segment.text.split("\n"))
                yield Segment(text, segment.style)
