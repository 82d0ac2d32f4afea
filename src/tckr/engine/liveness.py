"""Marks of running processes: each process puts a mark beside what it works on, and updates the mark while it lives.

No file system lock is used, because on network disks locks fail, or succeed for everyone. Needed instead: exclusive
creation of files, atomic renames, and file times that advance. A mark avoids that two processes do the same work; the
integrity of results never depends on it.

PLACE.<id>.<kind>    the mark of one process at PLACE
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from tckr.engine.private import FILE

BEAT_SECONDS = 10.0
"""Seconds between two updates of a mark."""

LEASE_SECONDS = 180.0
"""Seconds after which the process of a mark without updates counts as dead. Network disks may show times a minute old."""


@dataclass(frozen=True, order=True)
class Mark:
    """The mark of one process. Marks are ordered by start time."""

    id: str
    path: Path

    def is_there(self) -> bool:
        """Return whether the mark still exists, i.e. no other process took this one for dead."""
        return self.path.exists()

    def holder(self) -> str:
        """Return a description of the process, for a message."""
        found = _read(self.path)
        if not found:
            return "another process"
        return f"process {found['process']} on {found['machine']} (since {found['since']})"


@contextmanager
def present(place: Path, kind: str) -> Iterator[Mark]:
    """Keep a mark of this process at `place` until the block ends."""
    name = f"{time.time_ns():016x}{secrets.token_hex(4)}"
    mark = Mark(name, place.with_name(f"{place.name}.{name}.{kind}"))
    _write(mark.path)
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(mark.path, over), daemon=True)
    beating.start()
    try:
        yield mark
    finally:
        over.set()
        beating.join()
        mark.path.unlink(missing_ok=True)


def _write(path: Path) -> None:
    """Write a mark completely or not at all: half a mark would look like that of another machine and block the place."""
    text = json.dumps(_describe_process())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def marks_at(place: Path, *kinds: str) -> list[Mark]:
    """Return the marks of living processes at `place`, the earliest first; remove those of dead ones."""
    found = _found_at(place, kinds)
    for mark in [mark for mark in found if not _lives(mark.path, _now)]:
        found.remove(mark)
        mark.path.unlink(missing_ok=True)
    return found


def look_at(place: Path, *kinds: str) -> list[Mark]:
    """Return the marks of living processes at `place`, the earliest first; write nothing, so that it disturbs nobody.

    The age of a mark from another system is taken from the clock of this one, which may differ.
    """
    return [mark for mark in _found_at(place, kinds) if _lives(mark.path, lambda _: time.time())]


def _found_at(place: Path, kinds: Sequence[str]) -> list[Mark]:
    return sorted(
        Mark(path.name.split(".")[-2], path) for kind in kinds for path in place.parent.glob(f"{place.name}.*.{kind}")
    )


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        try:
            os.utime(path)  # uses the clock of the file system's server
        except FileNotFoundError:
            return
        except OSError:
            continue  # the server does not answer; the next update may reach it


def _lives(path: Path, now: Callable[[Path], float]) -> bool:
    """Return whether the process of a mark lives: checked directly on the same system, else by the last update.

    `now` returns the present time for files in a folder.
    """
    found = _read(path)
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return False
    if found and found["system"] == _system():
        return _start_of(found["process"]) == found["started"]
    return now(path.parent) - touched < LEASE_SECONDS


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a mark; empty while it is being written."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict) and {"process", "machine", "since", "system", "started"} <= found.keys():
            return found
    return {}


def _now(folder: Path) -> float:
    """Return the present time by the clock that dates the files in `folder`, that of its server."""
    probe = folder / f".tckr.{secrets.token_hex(16)}.partial"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _describe_process() -> dict[str, Any]:
    return {
        "process": os.getpid(),
        "machine": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": _system(),
        "started": _start_of(os.getpid()),
    }


@cache
def _system() -> str:
    """Return an id of the space of process numbers: one boot of one machine or container."""
    with suppress(OSError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    return platform.node()


def _start_of(process: int) -> str:
    """Return the start time that distinguishes a process from an earlier one with its number; empty if it has ended."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    try:
        return str(round(psutil.Process(process).create_time()))
    except psutil.Error:
        return ""
