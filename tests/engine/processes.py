"""Other processes for tests. They start like workers, so that the libraries need not be loaded again."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from tckr.process import interrupts_held, worker_context


def start_process(target: Callable[..., object], *arguments: Any, daemon: bool = True) -> BaseProcess:
    """Start a process that calls `target`."""
    process = worker_context().Process(target=target, args=arguments, daemon=daemon)
    with interrupts_held():  # for life: the first process starts the fork server that all others come from
        process.start()
    return process
