"""The progress of a whole run: a bar with the time left on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from tckr.cli.bars import Bars
from tckr.cli.pace import Pace
from tckr.cli.terminal import escape
from tckr.engine.step import Step

if TYPE_CHECKING:
    from tckr.engine.execution import ExecutionConfig

SECONDS_BETWEEN = 60.0
"""Of two lines where there is no terminal."""


class WholeRun:
    """Say how far a run is until `close`."""

    def __init__(self, console: Console, bars: Bars, execution: ExecutionConfig | None) -> None:
        """Show it through `bars`; `execution` says which share of the machine a step has."""
        self._console, self._bars, self._execution = console, bars, execution
        self._pace: Pace | None = None
        self._ended = threading.Event()

    def begin(self, steps: Sequence[Step]) -> None:
        """Begin with the steps to compute."""
        if not steps:
            return
        self.close()
        self._pace, self._ended = Pace(steps, self._shares(steps)), threading.Event()
        if self._console.is_terminal:
            self._bars.show_whole(0, self._pace.total, str(self._pace.left({})))
        else:
            threading.Thread(target=self._every_minute, args=(self._pace, self._ended), daemon=True).start()

    def finished(self, step: Step, seconds: float) -> None:
        """Note a finished step."""
        if self._pace is None:
            return
        self._pace.finished(step, seconds)
        if self._console.is_terminal:
            left = self._pace.left(self._bars.seconds_left())
            self._bars.show_whole(self._pace.done, self._pace.total, str(left))
        if self._pace.done == self._pace.total:
            self.close()

    def close(self) -> None:
        """End: no further line, no bar."""
        self._pace = None
        self._ended.set()
        self._bars.close()

    def _shares(self, steps: Sequence[Step]) -> dict[str, float]:
        if self._execution is None:
            return {}
        from tckr.engine.machine_share import needs_of

        return {name: float(needs.share) for name, needs in needs_of(steps, self._execution).items()}

    def _every_minute(self, pace: Pace, ended: threading.Event) -> None:
        while not ended.wait(SECONDS_BETWEEN):
            now = self._bars.at_work()
            line = f"  [dim]...[/] {pace.sentence(self._bars.seconds_left())}{f'; now {escape(now)}' if now else ''}"
            self._console.print(line, soft_wrap=True)
