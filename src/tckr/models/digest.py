"""Tell checkpoints apart without loading them; imports neither torch nor transformers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tckr.models.embedded import FOLDERS, resolve


def checkpoint_digest(name: str) -> str:
    """Return what identifies the checkpoint `name` besides its name: it changes when its files do.

    An embedded checkpoint is identified by its content, so that every installation agrees; a local folder by names, sizes
    and modification times of its files; anything else (a hub id, a built-in architecture) by its name alone: pin a revision.
    """
    if name in FOLDERS:
        return _embedded_digest(name)
    return _digest(Path(name), _stamp) if Path(name).is_dir() else name


@cache
def _embedded_digest(name: str) -> str:
    """Return the digest of what ships with the package: it cannot change, and a sweep asks for it hundreds of times."""
    return _digest(Path(resolve(name)), Path.read_bytes)


def _digest(folder: Path, content: Callable[[Path], bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(os.fsencode(path.relative_to(folder).as_posix()))  # a name may hold any bytes
        digest.update(content(path))
    return digest.hexdigest()


def adapter_digest(name: Path | str) -> str:
    """Return what identifies an adapter, a file, a folder or a hub id, besides its name: it changes when its files do."""
    path = Path(name)
    return hashlib.sha256(_stamp(path)).hexdigest() if path.is_file() else checkpoint_digest(str(name))


def _stamp(path: Path) -> bytes:
    status = path.stat()
    return f"|{status.st_size}|{status.st_mtime_ns}|".encode()
