"""Who is told what a run does: the console, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from tckr.engine.step import Step


class Listener(Protocol):
    """Hear what one step at work tells."""

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar for a step; the yielded function advances it."""

    def warned(self, message: str) -> None:
        """A step has something to warn the user of."""

    def described(self, message: str) -> None:
        """A step says how it understood its input."""


class Observer(Listener, Protocol):
    """See what the runner does. Several steps may be at work at once; all calls come from the runner's thread."""

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """These steps are missing and will be computed; told once, before the first begins.

        `shares` says which part of the machine, or of the cluster, each has by name.
        """

    def started(self, step: Step) -> None:
        """A step begins."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """One artifact is whole."""


class Silent:
    """Observe nothing, where there is no console."""

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Ignore it."""

    def started(self, step: Step) -> None:
        """Ignore it."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Ignore it."""

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Count nothing."""
        return nullcontext(lambda amount: None)

    def warned(self, message: str) -> None:
        """Ignore it."""

    def described(self, message: str) -> None:
        """Ignore it."""
