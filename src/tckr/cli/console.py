"""What a run looks like on a terminal: one line per finished step, a bar with rate and time left for the one at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tckr.cli.status import is_reference
from tckr.cli.terminal import Terminal, escape
from tckr.engine.step import Step


class RateColumn(ProgressColumn):
    """Show how many units finish per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.3g} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


class ConsoleObserver:
    """Print the progress of a run: a line per step of the target run, a line per group of reference runs."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to `console`, by default to standard output."""
        self.console = console or Terminal()
        self._label = ""
        self._left = 0
        self._start = 0.0

    def started(self, steps: Sequence[Step]) -> None:
        """Remember what the next bars belong to."""
        self._label = steps[0].name if len(steps) == 1 else f"{steps[0].stage} x {len(steps)}"
        self._left, self._start = len(steps), time.perf_counter()
        if not self.console.is_terminal:
            self.console.print(f"  [dim]...[/] {self._label}")

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Print one line for a step of the target run, and one for a whole group of reference runs."""
        if not is_reference(step):
            cost = f"{manifest['seconds']:7.1f} s  {manifest['peak_memory_mb']:6,d} MB"
            used = "[dim]whole already[/]" if reused else cost
            self.console.print(f"  [green]ok[/]  {step.name:<11} {used}")
        elif not reused:
            self._left -= 1
            if not self._left:
                elapsed = time.perf_counter() - self._start
                self.console.print(f"  [green]ok[/]  {self._label:<11} {elapsed:7.1f} s  [dim]references and controls[/]")

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Open a bar that disappears when the step is finished."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
            RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(self._label, total=total, completed=done, unit=unit)
            yield lambda amount: progress.update(task, advance=amount)

    def warned(self, message: str) -> None:
        """Print a warning."""
        self.console.print(f"  [yellow]warning[/]  {escape(message)}", soft_wrap=True)
