"""Progress bars on a terminal: one for the entire run, and one for each running step with its rate and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tckr.cli.terminal import escape
from tckr.progress.counts import Counts

NARROW, WIDE = 80, 100
"""Widths of a terminal line: below the first a bar is hidden; from the second on it takes all free space."""

WHOLE = "all"
"""Label of the bar of the entire run."""


class RateColumn(ProgressColumn):
    """Show how many units finish per second. Empty for the entire run, because its steps differ."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing while it is unknown."""
        speed = None if task.fields["left"] else task.finished_speed or task.speed
        return Text(f"{speed:,.3g} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


class LeftColumn(TimeRemainingColumn):
    """Show the time left: for the entire run the text given to `show_whole`, for a step an estimate from its rate."""

    def render(self, task: Task) -> Text:
        """Return the time left."""
        left = task.fields["left"]
        return Text(left or f"{super().render(task)} left", style="progress.remaining")


class Bars:
    """Progress bars of the running steps. A bar disappears when its step finishes; `close` removes all of them."""

    def __init__(self, console: Console) -> None:
        """Show the bars on `console` if that is a terminal."""
        self._console = console
        self._progress: Progress | None = None
        self._whole: TaskID | None = None
        self.counts = Counts()

    @contextmanager
    def open(self, label: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Show a bar; the yielded function advances it."""
        progress = self._shown()
        task = progress.add_task(escape(label), total=total, completed=done, unit=unit, left="")
        with self.counts.open(label, total, unit, done) as count:

            def advance(amount: int) -> None:
                progress.update(task, advance=amount)
                count(amount)

            try:
                yield advance
            finally:
                progress.remove_task(task)
        self._stop_if_empty()

    def show_whole(self, done: int, total: int, left: str) -> None:
        """Update the bar of the entire run, shown above the other bars."""
        if self._whole is None:
            self._whole = self._shown().add_task(WHOLE, total=total, completed=done, unit="steps", left=left)
        else:
            self._shown().update(self._whole, completed=done, left=left)

    def close(self) -> None:
        """Remove the bar of the entire run and restore the terminal."""
        if self._progress is not None and self._whole is not None:
            self._progress.remove_task(self._whole)
        self._whole = None
        self._stop_if_empty()

    def _shown(self) -> Progress:
        if self._progress is None:
            disable = not self._console.is_terminal
            self._progress = Progress(*_columns(self._console.width), console=self._console, transient=True, disable=disable)
            self._progress.start()
        return self._progress

    def _stop_if_empty(self) -> None:
        if self._progress is not None and not self._progress.tasks:
            self._progress.stop()
            self._progress = None


def _columns(width: int) -> list[ProgressColumn]:
    """Return the columns that fit into `width` characters: always count and time left, the others if there is room."""
    count = TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}")
    label, left = TextColumn("{task.description:<12}"), LeftColumn()
    if width < NARROW:
        return [label, count, left]
    return [SpinnerColumn(), label, BarColumn(None if width >= WIDE else 12), count, RateColumn(), TimeElapsedColumn(), left]
