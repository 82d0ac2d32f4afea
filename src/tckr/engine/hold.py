"""Locks on folders: one process works in a folder, or several that agree; a killed process loses its lock."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tckr.engine.private import FILE
from tckr.errors import UserError

LOCK_START = b'{"process": '


@contextmanager
def exclusive(lock: Path, folder: Path) -> Iterator[None]:
    """Hold `lock` alone until the block ends.

    Raises:
        UserError: a process holds it; says which, since when, and what to do about `folder`.
    """
    with _locked(lock, folder, fcntl.LOCK_EX):
        yield


@contextmanager
def shared(lock: Path, folder: Path) -> Iterator[None]:
    """Hold `lock` together with others that call this.

    Raises:
        UserError: a process holds it alone.
    """
    with _locked(lock, folder, fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(lock: Path, folder: Path, how: int) -> Iterator[None]:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE)
    try:
        _require_lock(handle, lock)
        os.fchmod(handle, FILE)
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{_holder(handle)} works in {folder}. Two at a time would mix settings and results: wait until it is done "
                "and give the same command again, or give another --name"
            ) from None
        _sign(handle)
        yield
    finally:
        os.close(handle)  # which unlocks


def _require_lock(handle: int, lock: Path) -> None:
    """Raise when the file holds something else than `_sign` writes: it would be overwritten."""
    if os.fstat(handle).st_size and os.pread(handle, len(LOCK_START), 0) != LOCK_START:
        raise UserError(f"{lock} is no lock of TCKR, and is left as it is; move it away, and give the same command again")


def _sign(handle: int) -> None:
    who = {"process": os.getpid(), "machine": platform.node(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    text = json.dumps(who).encode()
    os.pwrite(handle, text, 0)
    os.ftruncate(handle, len(text))


def _holder(handle: int) -> str:
    try:
        found = json.loads(os.pread(handle, 1000, 0))
        return f"process {found['process']} on {found['machine']} (since {found['since']})"
    except (ValueError, KeyError, TypeError):  # it has just begun
        return "another process"
