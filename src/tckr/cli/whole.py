"""Progress of an entire run: a bar with the time left on a terminal, otherwise one line per minute."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from rich.console import Console

from tckr.cli.bars import Bars
from tckr.cli.terminal import escape
from tckr.engine.step import Step
from tckr.progress.pace import Pace

SECONDS_BETWEEN = 60.0
"""Seconds between two lines without a terminal."""


class WholeRun:
    """Print the progress of a run until `close`."""

    def __init__(self, console: Console, bars: Bars) -> None:
        """Show it through `bars`."""
        self._console, self._bars = console, bars
        self._pace: Pace | None = None
        self._ended = threading.Event()

    def begin(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Begin with the steps to compute; `shares` says which part of the machine a step has."""
        if not steps:
            return
        self.close()
        self._pace, self._ended = Pace(steps, shares), threading.Event()
        if self._console.is_terminal:
            self._bars.show_whole(0, self._pace.total, str(self._pace.left({})))
        else:
            threading.Thread(target=self._every_minute, args=(self._pace, self._ended), daemon=True).start()

    def finished(self, step: Step, seconds: float) -> None:
        """Record a finished step."""
        if self._pace is None:
            return
        self._pace.finished(step, seconds)
        if self._console.is_terminal:
            left = self._pace.left(self._bars.counts.seconds_left())
            self._bars.show_whole(self._pace.done, self._pace.total, str(left))
        if self._pace.done == self._pace.total:
            self.close()

    def close(self) -> None:
        """Stop printing and remove the bar."""
        self._pace = None
        self._ended.set()
        self._bars.close()

    def _every_minute(self, pace: Pace, ended: threading.Event) -> None:
        while not ended.wait(SECONDS_BETWEEN):
            now = self._bars.counts.at_work()
            line = f"  [dim]...[/] {pace.sentence(self._bars.counts.seconds_left())}{f'; now {escape(now)}' if now else ''}"
            self._console.print(line, soft_wrap=True)
