"""Sealed folders: moved out of an artifact and closed, so that only a step that declares it gets a path and may read.

Closed, a file has mode 0: the operating system refuses it to everyone but root. Its folder stays its owner's, so a store can
still be deleted or moved. Open, the files are read-only. Any number of processes may have the same seal open; each holds its
lock shared, and the last one to leave closes it. A killed process loses its lock, and the next run closes what it left open.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tckr.engine.private import create_private, make_private
from tckr.errors import UserError

CLOSED = 0o000
OPEN = 0o400


def seal(draft: Path, sealed: Path, names: Sequence[str]) -> dict[str, str]:
    """Move the folders `names` from `draft` to `sealed` and close them; return the digest of each.

    What an attempt left at `sealed` that was killed before its commit gives way.
    """
    digests = {name: folder_digest(draft / name) for name in names}
    for name in names:
        _make_parents(sealed)
        make_private(sealed)
        if (sealed / name).exists():
            shutil.rmtree(sealed / name)
        (draft / name).rename(sealed / name)
        _set_mode(sealed, CLOSED)
    return digests


@contextmanager
def opened(sealed: Path, digests: Mapping[str, str], artifact: Path) -> Iterator[Path]:
    """Yield `sealed`, whose files can be read until the block ends.

    Args:
        sealed: what `seal` filled.
        digests: what `seal` returned.
        artifact: the folder that it was taken from, for the message.

    Raises:
        UserError: a sealed folder is missing, or is not what it was.
    """
    with _lock_of(sealed).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            _set_mode(sealed, OPEN)
            for name, expected in digests.items():
                _check(sealed / name, expected, artifact)
            yield sealed
        finally:
            _close_if_last(lock, sealed)


def close(sealed: Path) -> None:
    """Close what a killed process left open; leave it to those that have it open now."""
    if sealed.is_dir():
        with _lock_of(sealed).open("a") as lock:
            _close_if_last(lock, sealed)


def note_opening(sealed: Path, step_name: str, fingerprint: str) -> None:
    """Note who opens the seal."""
    path = _openings_of(sealed)
    create_private(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": round(time.time(), 3), "step": step_name, "fingerprint": fingerprint}) + "\n")


def num_openings(sealed: Path) -> int:
    """Return how often a seal was opened since it was made, over all runs that share the store."""
    path = _openings_of(sealed)
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 over names and contents of all files below `folder`."""
    digest = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _check(folder: Path, expected: str, artifact: Path) -> None:
    found = folder_digest(folder) if folder.is_dir() else "none"
    if found != expected:
        raise UserError(
            f"the sealed folder {folder} has digest {found[:12]}; it was sealed with {expected[:12]}, so it was removed or "
            f"changed afterwards. Delete {artifact} and give the same command again: it is made anew."
        )


def _close_if_last(lock: IO[str], sealed: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another process has it open, and closes it
    _set_mode(sealed, CLOSED)


def _set_mode(sealed: Path, mode: int) -> None:
    for path in _files(sealed):
        path.chmod(mode)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _lock_of(sealed: Path) -> Path:
    _make_parents(sealed)
    lock = sealed.with_name(sealed.name + ".lock")
    create_private(lock)
    return lock


def _make_parents(sealed: Path) -> None:
    """Create `store/sealed` and `store/sealed/<stage>`."""
    for folder in (sealed.parent.parent, sealed.parent):
        make_private(folder)


def _openings_of(sealed: Path) -> Path:
    return sealed.with_name(sealed.name + ".openings.jsonl")
