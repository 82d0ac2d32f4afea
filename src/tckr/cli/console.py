"""What a run looks like on a terminal: one line per finished step, a bar for each one at work and for the whole run.

Where there is no terminal, a line a minute takes the place of the bars.
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
"""Returns the lines to print below the line of a finished step; the second argument says whether it was whole already."""


def no_notes(step: Step, reused: bool) -> Sequence[str]:
    """Return nothing."""
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
            notes: what else to say of a finished step of the target run.
            begin: prints what stands above the first step; not called where the run is refused.
        """
        self.console = console or Terminal(stderr=True)
        self._bars = Bars(self.console)
        self._whole = WholeRun(self.console, self._bars)
        self._groups = Groups(lambda step: step.name if step.role is Role.TARGET else f"{step.stage} of the audit")
        self._notes, self._begin = notes, begin

    def __enter__(self) -> Self:
        """Begin with the run."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the terminal as it was, however the run ended."""
        self._whole.close()

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Begin, and remember what gets one line together."""
        self._begin()
        self._groups.plan(steps)
        self._whole.begin(steps, shares)

    def started(self, step: Step) -> None:
        """Print a line where there are no bars."""
        if (group := self._groups.begun(step)) and not self.console.is_terminal:
            self.console.print(f"  [dim]...[/] {group.label}")

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Print one line for a step of the target run, and one for a whole group of reference runs."""
        group = self._groups.ended(step)
        if step.role is Role.TARGET:
            cost = f"{manifest['seconds']:7.1f} s  {manifest['peak_memory_mb']:6,d} MB"
            used = "[dim]whole already[/]" if reused else cost
            self.console.print(f"  [green]ok[/]  {step.name:<11} {used}")
        elif group:
            self.console.print(f"  [green]ok[/]  {group.label:<11} {group.seconds:7.1f} s  [dim]references and controls[/]")
        for line in self._notes(step, reused) if step.role is Role.TARGET else ():
            self.console.print(f"      [dim]{escape(line)}[/]", soft_wrap=True)
        self._whole.finished(step, manifest["seconds"])

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar that disappears when the step is finished."""
        return self._bars.open(step_name, total, unit, done)

    def warned(self, message: str) -> None:
        """Print a warning."""
        print_warning(self.console, message)

    def described(self, message: str) -> None:
        """Print how the data was understood."""
        print_layout(self.console, message.splitlines())


def print_warning(console: Console, message: str) -> None:
    """Print a warning."""
    console.print(f"  [yellow]warning[/]  {escape(message)}", soft_wrap=True)


def print_layout(console: Console, lines: Sequence[str]) -> None:
    """Print the lines of `tckr.data.layouts.description.Layout`."""
    for line in lines:
        console.print(f"  [dim]data[/]     {escape(line)}", soft_wrap=True)
