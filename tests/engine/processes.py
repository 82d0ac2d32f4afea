"""Other processes for tests: they start as workers do, so that none has to load the libraries anew."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from tckr.engine.executors.local import _interrupts_held
from tckr.process import worker_context


def start_process(target: Callable[..., object], *arguments: Any, daemon: bool = True) -> BaseProcess:
    """Start a process that calls `target`."""
    process = worker_context().Process(target=target, args=arguments, daemon=daemon)
    with _interrupts_held():  # for life: the first process starts the fork server that all others come from
        process.start()
    return process
