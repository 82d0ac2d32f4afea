"""Interfaces that receive the progress of a run, such as the console."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from tckr.engine.step import Step


class Listener(Protocol):
    """Receive the events of one running step."""

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Open a progress bar for a step; the yielded function advances it."""

    def warned(self, message: str) -> None:
        """Receive a warning for the user."""

    def described(self, message: str) -> None:
        """Receive a description of how a step interpreted its input."""


class Observer(Listener, Protocol):
    """Receive the events of the runner. Several steps may run at once; all calls come from the runner's thread."""

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Called once before the first step: these steps are missing and will be computed.

        `shares`: name of a step -> its part of the machine or cluster.
        """

    def started(self, step: Step) -> None:
        """A step starts."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """An artifact is complete."""


class Silent:
    """Ignore all events."""

    def planned(self, steps: Sequence[Step], shares: Mapping[str, float]) -> None:
        """Ignore it."""

    def started(self, step: Step) -> None:
        """Ignore it."""

    def finished(self, step: Step, manifest: dict[str, Any], reused: bool) -> None:
        """Ignore it."""

    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Callable[[int], None]]:
        """Return a function that counts nothing."""
        return nullcontext(lambda amount: None)

    def warned(self, message: str) -> None:
        """Ignore it."""

    def described(self, message: str) -> None:
        """Ignore it."""
