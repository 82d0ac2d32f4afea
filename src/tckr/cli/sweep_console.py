"""Print the progress of a sweep: a line per group of steps and per finished variant, bars for running steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.table import Column, Table

from tckr.cli.bars import Bars
from tckr.cli.console import print_layout, print_warning
from tckr.cli.groups import Groups
from tckr.cli.terminal import escape
from tckr.cli.whole import WholeRun
from tckr.engine.step import Step

if TYPE_CHECKING:
    from tckr.sweep.table import Row


class SweepConsole:
    """Print the progress of a sweep."""

    def __init__(self, console: Console, num_variants: int) -> None:
        """Print to `console`."""
        self._console, self._bars = console, Bars(console)
        self._whole = WholeRun(console, self._bars)
        self._groups = Groups(lambda step: step.stage)
        self._num_variants, self._finished = num_variants, 0

    def __enter__(self) -> Self:
        """Return this observer, for a `with` statement."""
        return self

    def __exit__(self, *error: object) -> None:
        """Restore the terminal, also after an error."""
        self._whole.close()

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Record which steps share one line."""
        self._groups.plan(steps)
        self._whole.begin(steps, shares)

    def started(self, step: Step) -> None:
        """Print a line if there are no bars."""
        if (group := self._groups.begun(step)) and not self._console.is_terminal:
            self._console.print(f"  [dim]...[/] {escape(group.label)}")

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Print one line when the last step of a stage is complete."""
        if group := self._groups.ended(step):
            self._console.print(f"  [green]ok[/]  {escape(group.label):<14} {group.seconds:7.1f} s")
        self._whole.finished(step, manifest["seconds"])

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar; it disappears when the step is finished."""
        return self._bars.open(step_name.rsplit("/", 1)[-1], total, unit, done)  # without the names of sweep and variant

    def warned(self, message: str) -> None:
        """Print a warning."""
        print_warning(self._console, message)

    def described(self, message: str) -> None:
        """Print how the data was interpreted."""
        print_layout(self._console, message.splitlines())

    def variant_finished(self, name: str, row: Row) -> None:
        """Print the variant with both accuracies."""
        self._finished += 1
        found = f"Teacher {row['teacher_accuracy']:.3f}, Student {row['student_accuracy']:.3f}"
        auc = "" if row["student_auc"] is None else f", AUC {row['student_auc']:.3f}"
        self._console.print(
            f"  [bold]{self._finished}/{self._num_variants}[/]  {escape(name)}: {found}{auc}", soft_wrap=True
        )


def print_cells(cells: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table; its first row contains the headings."""
    head, *body = cells
    table = Table(*(Column(escape(name), overflow="fold") for name in head))
    for row in body:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
