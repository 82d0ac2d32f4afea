"""Holds: reserve a folder for one process, or for several that agree. The hold of a killed process ends by itself.

A hold is a mark (`tckr.engine.liveness`), not a file lock. If two processes start at once, both may give up; each
tries again after a random delay.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tckr.engine.liveness import Mark, look_at, marks_at, present
from tckr.errors import UserError

ALONE, TOGETHER = "alone", "together"

ATTEMPTS, MOST_SECONDS_BETWEEN = 6, 0.1


@contextmanager
def exclusive(place: Path, folder: Path) -> Iterator[None]:
    """Hold `place` exclusively until the block ends.

    Raises:
        UserError: another process holds it; the message names it, since when, and what to do about `folder`.
    """
    with _held(place, folder, ALONE, (ALONE, TOGETHER)):
        yield


@contextmanager
def shared(place: Path, folder: Path) -> Iterator[None]:
    """Hold `place` together with other callers of this function.

    Raises:
        UserError: a process holds it exclusively.
    """
    with _held(place, folder, TOGETHER, (ALONE,)):
        yield


def worker_at(place: Path, kinds: Sequence[str] = (ALONE, TOGETHER)) -> str | None:
    """Return a description of the process that holds `place`; None if no process does. Nothing is written."""
    marks = look_at(place, *kinds)
    return marks[0].holder() if marks else None


@contextmanager
def _held(place: Path, folder: Path, kind: str, unwanted: tuple[str, ...]) -> Iterator[None]:
    other: Mark | None = None
    with ExitStack() as stack:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, MOST_SECONDS_BETWEEN))
            other = _enter(stack, place, kind, unwanted)
            if other is None:
                break
        if other is None:
            yield
            return
        raise UserError(
            f"{other.holder()} uses {folder}. Two processes at a time would mix settings and results: wait until it is done "
            "and run the same command again, or give another --name"
        )


def _enter(stack: ExitStack, place: Path, kind: str, unwanted: tuple[str, ...]) -> Mark | None:
    """Hold `place` until `stack` is closed, or return the mark of another process that holds it."""
    if others := marks_at(place, *unwanted):
        return others[0]
    with ExitStack() as attempt:
        own = attempt.enter_context(present(place, kind))
        if others := [mark for mark in marks_at(place, *unwanted) if mark != own]:
            return others[0]
        stack.push(attempt.pop_all())
    return None
