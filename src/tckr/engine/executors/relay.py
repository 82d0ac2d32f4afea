"""Pass messages of jobs in worker processes to the listener of the process that started them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tckr.engine.observer import Listener

SECONDS_BETWEEN = 0.1
"""Shortest time between two messages about one bar: a step may advance thousands of times a second."""


class Relay:
    """The listener of a job in a worker process."""

    def __init__(self, send: Callable[[tuple[Any, ...]], Any]) -> None:
        """Use `send` to pass a message to the `Receiver`."""
        self._send = send

    @contextmanager
    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Report that a bar was opened, and how far it is."""
        reached, told = 0, time.monotonic()

        def advance(amount: int) -> None:
            nonlocal reached, told
            reached += amount
            if time.monotonic() - told >= SECONDS_BETWEEN:
                self._tell("advance", step_name, reached)
                reached, told = 0, time.monotonic()

        self._tell("open", step_name, total, unit, done)
        try:
            yield advance
        finally:
            self._tell("advance", step_name, reached)
            self._tell("close", step_name)

    def warned(self, message: str) -> None:
        """Pass on a warning."""
        self._tell("warned", message)

    def described(self, message: str) -> None:
        """Pass on how the step understood its input."""
        self._tell("described", message)

    def _tell(self, *message: Any) -> None:
        self._send(message)


class Receiver:
    """Call the listener for messages from workers. A step has one bar at a time."""

    def __init__(self, listener: Listener) -> None:
        """Pass the messages to `listener`."""
        self._listener = listener
        self._bars: dict[str, tuple[ExitStack, Callable[[int], None]]] = {}

    def hear(self, message: tuple[Any, ...]) -> None:
        """Pass one message to the listener; when a step starts again, its bar is opened again."""
        match message:
            case "open", step_name, *facts:
                self._close(step_name)
                stack = ExitStack()
                self._bars[step_name] = stack, stack.enter_context(self._listener.track(step_name, *facts))
            case "advance", step_name, amount:
                if step_name in self._bars:
                    self._bars[step_name][1](amount)
            case "close", step_name:
                self._close(step_name)
            case "warned", text:
                self._listener.warned(text)
            case "described", text:
                self._listener.described(text)

    def close(self) -> None:
        """Close the bars of jobs that did not finish."""
        for step_name in list(self._bars):
            self._close(step_name)

    def _close(self, step_name: str) -> None:
        if step_name in self._bars:
            self._bars.pop(step_name)[0].close()
