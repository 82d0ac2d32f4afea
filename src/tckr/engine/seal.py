"""Sealed folders: moved out of an artifact and closed, so that only a step that declares it can read them.

SEALS/<digest>/<name>/   sealed content, addressed by its digest, so two writers never use one place for different content
SEALS.<id>.open          the mark (`tckr.engine.liveness`) of a process that has it open
SEALS.openings.jsonl     the log of openings

A closed file has mode 0: the operating system refuses access to everyone but root. Its folder stays accessible to its
owner, so a store can still be deleted or moved. Open files are read-only. Any number of processes may open the same seal;
the last one to finish closes it. If a process is killed, the next run closes what it left open.
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

from tckr.engine.liveness import marks_at, present
from tckr.engine.private import create_private, make_private
from tckr.errors import UserError

CLOSED = 0o000
OPEN = 0o400
OPENED = "open"
"""Kind of the marks of processes that have a seal open."""
ATTEMPTS, SECONDS_BETWEEN = 20, 0.05
"""Maximum attempts to open a seal that another process closes at the same moment."""


def seal(draft: Path, seals: Path, names: Sequence[str]) -> dict[str, str]:
    """Move the folders `names` from `draft` to a place below `seals` and close them; return the digest of each.

    If another writer has already sealed the same content, its copy is kept and this one is deleted.
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
    """Return the place of folders with these digests; older artifacts are sealed in `seals` itself."""
    place = seals / hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()[:20]
    return place if place.exists() or not any((seals / name).exists() for name in digests) else seals


def keep_only(seals: Path, digests: Mapping[str, str]) -> None:
    """Delete sealed content of attempts that did not become the artifact; `digests` are those of the artifact."""
    place = place_of(seals, digests)
    if place != seals and seals.is_dir():
        for other in [path for path in seals.iterdir() if path != place]:
            shutil.rmtree(other, ignore_errors=True)


def _put(moved: Path, place: Path, digests: Mapping[str, str]) -> None:
    """Close a sealed folder and rename it to its place; a valid copy that is there already is kept."""
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
    """Yield the folder of the sealed content, readable until the block ends.

    Args:
        seals: the folder that `seal` filled.
        digests: the result of `seal`.
        artifact: the folder that the content was taken from, for the message.

    Raises:
        UserError: a sealed folder is missing or was changed.
    """
    make_private(seals.parent)
    try:
        with present(seals, OPENED):
            _open(seals, digests, artifact)
            yield place_of(seals, digests)
    finally:
        close(seals)


def _open(seals: Path, digests: Mapping[str, str], artifact: Path) -> None:
    """Open and check; another process that just finishes may close it again, so this is repeated."""
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
    """Close the seal unless another process has it open; this also closes what a killed process left open."""
    if not seals.is_dir() or marks_at(seals, OPENED):
        return
    _set_mode(seals, CLOSED)
    if marks_at(seals, OPENED):  # another process opened it meanwhile
        _set_mode(seals, OPEN)


def note_opening(seals: Path, step_name: str, fingerprint: str) -> None:
    """Record which step opens the seal."""
    path = _openings_of(seals)
    create_private(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": round(time.time(), 3), "step": step_name, "fingerprint": fingerprint}) + "\n")


def num_openings(seals: Path) -> int:
    """Return how often a seal was opened since it was created, over all runs that share the store."""
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
            f"the sealed folder {folder} has digest {found[:12]}, but it was sealed with {expected[:12]}, "
            f"so it was removed or changed afterwards. Delete {artifact} and run the same command again: it "
            "is computed again."
        )


def _set_mode(sealed: Path, mode: int) -> None:
    for path in _files(sealed):
        with suppress(FileNotFoundError):  # a file of another writer, just deleted
            path.chmod(mode)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _openings_of(seals: Path) -> Path:
    return seals.with_name(seals.name + ".openings.jsonl")
