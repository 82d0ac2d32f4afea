"""Sealed folders: moved out of an artifact and closed, so that only a step that declares it gets a path and may read.

SEALS/<digest>/<name>/   what was sealed, by what it holds: two writers never disagree about a place
SEALS.<id>.open          the mark (`tckr.engine.presence`) of a process that has it open
SEALS.openings.jsonl     who opened it

Closed, a file has mode 0: the operating system refuses it to everyone but root. Its folder stays its owner's, so a store can
still be deleted or moved. Open, the files are read-only. Any number of processes may have the same seal open; the last one
to leave closes it. A killed process has nothing open any more, and the next run closes what it left open.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tckr.engine.presence import marks_at, present
from tckr.engine.private import create_private, make_private
from tckr.errors import UserError

CLOSED = 0o000
OPEN = 0o400
OPENED = "open"
"""Kind of the marks of those that have a seal open."""
ATTEMPTS, SECONDS_BETWEEN = 20, 0.05
"""Of opening what another process closes at the same moment."""


def seal(draft: Path, seals: Path, names: Sequence[str]) -> dict[str, str]:
    """Move the folders `names` from `draft` to a place below `seals` and close them; return the digest of each.

    If another writer sealed the same there, its copy stays and this one goes.
    """
    digests = {name: folder_digest(draft / name) for name in names}
    if not names:
        return digests
    for folder in (seals.parent.parent, seals.parent, seals):
        make_private(folder)
    moved = seals / f"{uuid.uuid4().hex}.partial"
    make_private(moved)
    for name in names:
        (draft / name).rename(moved / name)
    _put(moved, place_of(seals, digests), digests)
    return digests


def place_of(seals: Path, digests: Mapping[str, str]) -> Path:
    """Return where folders with these digests are sealed; those of older artifacts lie in `seals` itself."""
    place = seals / hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()[:20]
    return place if place.exists() or not any((seals / name).exists() for name in digests) else seals


def keep_only(seals: Path, digests: Mapping[str, str]) -> None:
    """Delete what attempts sealed that did not become the artifact, whose digests these are."""
    place = place_of(seals, digests)
    if place != seals and seals.is_dir():
        for other in [path for path in seals.iterdir() if path != place]:
            shutil.rmtree(other, ignore_errors=True)


def _put(moved: Path, place: Path, digests: Mapping[str, str]) -> None:
    """Close and rename a sealed folder to its place; what lies there stays if it is what it should be."""
    _set_mode(moved, CLOSED)
    for _ in range(2):
        try:
            moved.rename(place)
            return
        except OSError:
            if not place.exists():
                raise
        _set_mode(place, OPEN)
        same = all((place / name).is_dir() and folder_digest(place / name) == found for name, found in digests.items())
        _set_mode(place, CLOSED)
        shutil.rmtree(moved if same else place)
        if same:
            return


@contextmanager
def opened(seals: Path, digests: Mapping[str, str], artifact: Path) -> Iterator[Path]:
    """Yield the folder of what was sealed, whose files can be read until the block ends.

    Args:
        seals: what `seal` filled.
        digests: what `seal` returned.
        artifact: the folder that it was taken from, for the message.

    Raises:
        UserError: a sealed folder is missing, or is not what it was.
    """
    make_private(seals.parent)
    try:
        with present(seals, OPENED):
            _open(seals, digests, artifact)
            yield place_of(seals, digests)
    finally:
        close(seals)


def _open(seals: Path, digests: Mapping[str, str], artifact: Path) -> None:
    """Open and check; somebody who leaves just now may close it again, and then opens it for this process."""
    for attempt in range(ATTEMPTS):
        _set_mode(seals, OPEN)
        try:
            for name, expected in digests.items():
                _check(place_of(seals, digests) / name, expected, artifact)
            return
        except PermissionError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(SECONDS_BETWEEN)


def close(seals: Path) -> None:
    """Close what nobody has open: a process that ends closes what it opened, the next run what a killed one left open."""
    if not seals.is_dir() or marks_at(seals, OPENED):
        return
    _set_mode(seals, CLOSED)
    if marks_at(seals, OPENED):  # somebody came meanwhile
        _set_mode(seals, OPEN)


def note_opening(seals: Path, step_name: str, fingerprint: str) -> None:
    """Note who opens the seal."""
    path = _openings_of(seals)
    create_private(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": round(time.time(), 3), "step": step_name, "fingerprint": fingerprint}) + "\n")


def num_openings(seals: Path) -> int:
    """Return how often a seal was opened since it was made, over all runs that share the store."""
    path = _openings_of(seals)
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


def _set_mode(sealed: Path, mode: int) -> None:
    for path in _files(sealed):
        with suppress(FileNotFoundError):  # another writer's, which has just gone
            path.chmod(mode)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _openings_of(seals: Path) -> Path:
    return seals.with_name(seals.name + ".openings.jsonl")
