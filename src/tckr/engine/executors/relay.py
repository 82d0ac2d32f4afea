"""Carry what jobs in worker processes tell to the listener of the process that started them, over one pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Lock
from typing import Any

from tckr.engine.observer import Listener

SECONDS_BETWEEN = 0.1
"""Of two messages about one bar: a step may advance thousands of times a second."""


class Relay:
    """The listener of a job in a worker process."""

    def __init__(self, pipe: Connection, lock: Lock) -> None:
        """Write to `pipe`, which all workers share."""
        self._pipe, self._lock = pipe, lock

    @contextmanager
    def track(self, step_name: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Tell of a bar and of how far it is."""
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
        """Tell of a warning."""
        self._tell("warned", message)

    def described(self, message: str) -> None:
        """Tell how the step understood its input."""
        self._tell("described", message)

    def _tell(self, *message: Any) -> None:
        with self._lock, suppress(OSError):  # nobody listens any more
            self._pipe.send(message)


class Receiver:
    """Call the listener for what workers tell. A step has one bar at a time."""

    def __init__(self, context: BaseContext, listener: Listener) -> None:
        """Open the pipe; `sender` is what a worker makes its `Relay` of."""
        self._reader, writer = context.Pipe(duplex=False)
        self.sender = writer, context.Lock()
        self._listener = listener
        self._bars: dict[str, tuple[ExitStack, Callable[[int], None]]] = {}

    def pass_on(self) -> None:
        """Tell the listener all that has come."""
        while self._reader.poll():
            match self._reader.recv():
                case "open", step_name, *facts:
                    stack = ExitStack()
                    self._bars[step_name] = stack, stack.enter_context(self._listener.track(step_name, *facts))
                case "advance", step_name, amount:
                    self._bars[step_name][1](amount)
                case "close", step_name:
                    self._bars.pop(step_name)[0].close()
                case "warned", message:
                    self._listener.warned(message)
                case "described", message:
                    self._listener.described(message)

    def close(self) -> None:
        """Close the bars of jobs that did not come to their end, and the pipe: no worker waits for someone to read it."""
        for stack, _ in self._bars.values():
            stack.close()
        for end in (self._reader, self.sender[0]):
            end.close()
