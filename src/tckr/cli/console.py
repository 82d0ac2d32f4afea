"""Print the progress of a run: one line per finished step, one bar per running step and one for the entire run.

Without a terminal, one line per minute replaces the bars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from rich.console import Console

from tckr.cli.bars import Bars
from tckr.cli.groups import Groups
from tckr.cli.terminal import Terminal, escape
from tckr.cli.whole import WholeRun
from tckr.engine.step import Role, Step

Notes = Callable[[Step, bool], Sequence[str]]
"""Returns the lines to print below a finished step; the second argument tells whether it was complete before the run."""


def no_notes(step: Step, reused: bool) -> Sequence[str]:
    """Return no lines."""
    return ()


def no_words() -> None:
    """Print nothing."""


class ConsoleObserver:
    """Print the progress of a run: a line per step of the target run, a line per stage of reference runs and controls."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        notes: Notes = no_notes,
        begin: Callable[[], object] = no_words,
    ) -> None:
        """Print to `console`, by default to standard error.

        Args:
            console: where to print.
            notes: returns further lines for a finished step of the target run.
            begin: prints the lines above the first step; not called if the run is refused.
        """
        self.console = console or Terminal(stderr=True)
        self._bars = Bars(self.console)
        self._whole = WholeRun(self.console, self._bars)
        self._groups = Groups(lambda step: step.name if step.role is Role.TARGET else f"{step.stage} of the audit")
        self._notes, self._begin = notes, begin

    def __enter__(self) -> Self:
        """Return this observer, for a `with` statement."""
        return self

    def __exit__(self, *error: object) -> None:
        """Restore the terminal, also after an error."""
        self._whole.close()

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Begin, and record which steps share one line."""
        self._begin()
        self._groups.plan(steps)
        self._whole.begin(steps, shares)

    def started(self, step: Step) -> None:
        """Print a line if there are no bars."""
        if (group := self._groups.begun(step)) and not self.console.is_terminal:
            self.console.print(f"  [dim]...[/] {group.label}")

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Print one line for a step of the target run, and one for each complete group of reference runs."""
        group = self._groups.ended(step)
        if step.role is Role.TARGET:
            cost = f"{manifest['seconds']:7.1f} s  {manifest['peak_memory_mb']:6,d} MB"
            used = "[dim]already complete[/]" if reused else cost
            self.console.print(f"  [green]ok[/]  {step.name:<11} {used}")
        elif group:
            self.console.print(f"  [green]ok[/]  {group.label:<11} {group.seconds:7.1f} s  [dim]references and controls[/]")
        for line in self._notes(step, reused) if step.role is Role.TARGET else ():
            self.console.print(f"      [dim]{escape(line)}[/]", soft_wrap=True)
        self._whole.finished(step, manifest["seconds"])

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar; it disappears when the step is finished."""
        return self._bars.open(step_name, total, unit, done)

    def warned(self, message: str) -> None:
        """Print a warning."""
        print_warning(self.console, message)

    def described(self, message: str) -> None:
        """Print how the data was interpreted."""
        print_layout(self.console, message.splitlines())


def print_warning(console: Console, message: str) -> None:
    """Print a warning."""
    console.print(f"  [yellow]warning[/]  {escape(message)}", soft_wrap=True)


def print_layout(console: Console, lines: Sequence[str]) -> None:
    """Print the lines of `tckr.data.layouts.description.Layout`."""
    for line in lines:
        console.print(f"  [dim]data[/]     {escape(line)}", soft_wrap=True)
