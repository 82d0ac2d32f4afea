"""What a run looks like on a terminal: one line per finished step, a bar with rate and time left for each one at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
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

from tckr.cli.terminal import Terminal, escape
from tckr.engine.step import Role, Step


class RateColumn(ProgressColumn):
    """Show how many units finish per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.3g} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


@dataclass
class Group:
    """Steps that get one line together."""

    label: str
    left: int
    start: float = 0.0

    @property
    def seconds(self) -> float:
        """Return the time since the first of them began."""
        return time.perf_counter() - self.start


class Groups:
    """Know which group each planned step belongs to, and when a group begins and ends."""

    def __init__(self, key: Callable[[Step], str]) -> None:
        """Put steps with the same `key` together."""
        self._key = key
        self._groups: dict[str, Group] = {}

    def plan(self, steps: Sequence[Step]) -> None:
        """Take the steps that will be computed."""
        self._groups = {}
        members: dict[str, list[Step]] = {}
        for step in steps:
            members.setdefault(self._key(step), []).append(step)
        for together in members.values():
            label = together[0].name if len(together) == 1 else f"{together[0].stage} x {len(together)}"
            group = Group(label, len(together))
            self._groups |= {step.name: group for step in together}

    def begun(self, step: Step) -> Group | None:
        """Return the group of which `step` is the first to begin."""
        group = self._groups[step.name]
        if group.start:
            return None
        group.start = time.perf_counter()
        return group

    def ended(self, step: Step) -> Group | None:
        """Return the group of which `step` is the last to end; none for a step that was whole before."""
        group = self._groups.pop(step.name, None)
        if group is not None:
            group.left -= 1
        return group if group and not group.left else None


class Bars:
    """Bars of the steps at work, one below the other; each disappears when its step is finished."""

    def __init__(self, console: Console) -> None:
        """Show them on `console` if that is a terminal."""
        self._console = console
        self._progress: Progress | None = None

    @contextmanager
    def open(self, label: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Show a bar; the yielded function advances it."""
        self._progress = progress = self._progress or self._start()
        task = progress.add_task(label, total=total, completed=done, unit=unit)
        try:
            yield lambda amount: progress.update(task, advance=amount)
        finally:
            progress.remove_task(task)
            if not progress.tasks:
                progress.stop()
                self._progress = None

    def _start(self) -> Progress:
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
        progress = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        progress.start()
        return progress


class ConsoleObserver:
    """Print the progress of a run: a line per step of the target run, a line per stage of reference runs and controls."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to `console`, by default to standard output."""
        self.console = console or Terminal()
        self._bars = Bars(self.console)
        self._groups = Groups(lambda step: step.name if step.role is Role.TARGET else f"{step.stage} of the audit")

    def planned(self, steps: Sequence[Step]) -> None:
        """Remember what gets one line together."""
        self._groups.plan(steps)

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

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar that disappears when the step is finished."""
        return self._bars.open(step_name, total, unit, done)

    def warned(self, message: str) -> None:
        """Print a warning."""
        self.console.print(f"  [yellow]warning[/]  {escape(message)}", soft_wrap=True)

    def described(self, message: str) -> None:
        """Print how the data was understood."""
        print_layout(self.console, message.splitlines())


def print_layout(console: Console, lines: Sequence[str]) -> None:
    """Print the lines of `tckr.data.layouts.description.Layout`."""
    for line in lines:
        console.print(f"  [dim]data[/]     {escape(line)}", soft_wrap=True)
