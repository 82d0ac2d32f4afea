"""What a sweep looks like on a terminal: a line per group of steps and per finished variant, bars for the one at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

from tckr.cli.console import ConsoleObserver
from tckr.cli.terminal import escape
from tckr.engine.step import Step

if TYPE_CHECKING:
    from tckr.sweep.table import Row


class SweepConsole:
    """Print the progress of a sweep."""

    def __init__(self, console: Console, num_variants: int) -> None:
        """Print to `console`."""
        self._console, self._bars = console, ConsoleObserver(console)
        self._num_variants, self._finished = num_variants, 0
        self._left, self._label, self._start = 0, "", 0.0

    def started(self, steps: Sequence[Step]) -> None:
        """Remember what the next bars belong to."""
        self._bars.started(steps)
        self._left, self._start = len(steps), time.perf_counter()
        self._label = steps[0].name if len(steps) == 1 else f"{steps[0].stage} x {len(steps)}"

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Print one line when the last step of a group is whole."""
        if not reused:
            self._left -= 1
            if not self._left:
                elapsed = time.perf_counter() - self._start
                self._console.print(f"  [green]ok[/]  {escape(self._label):<14} {elapsed:7.1f} s")

    def track(self, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar that disappears when the step is finished."""
        return self._bars.track(total, unit, done)

    def warned(self, message: str) -> None:
        """Print a warning."""
        self._bars.warned(message)

    def variant_finished(self, name: str, row: Row) -> None:
        """Print the variant with its two accuracies."""
        self._finished += 1
        found = f"Teacher {row['teacher_accuracy']:.3f}, Student {row['student_accuracy']:.3f}"
        auc = "" if row["student_auc"] is None else f", AUC {row['student_auc']:.3f}"
        self._console.print(
            f"  [bold]{self._finished}/{self._num_variants}[/]  {escape(name)}: {found}{auc}", soft_wrap=True
        )


def print_cells(cells: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table whose first row holds the headings."""
    head, *body = cells
    table = Table(*(Column(escape(name), overflow="fold") for name in head))
    for row in body:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
