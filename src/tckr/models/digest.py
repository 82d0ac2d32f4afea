"""Tell checkpoints apart without loading them; imports neither torch nor transformers."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tckr.models.embedded import FOLDERS, resolve


def checkpoint_digest(name: str) -> str:
    """Return what identifies the checkpoint `name` besides its name: it changes when its files do.

    An embedded checkpoint is identified by its content, so that every installation agrees; a local folder by names, sizes
    and modification times of its files; anything else (a hub id, a built-in architecture) by its name alone: pin a revision.
    """
    folder = Path(resolve(name)) if name in FOLDERS else Path(name)
    if not folder.is_dir():
        return name
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(os.fsencode(path.relative_to(folder).as_posix()))  # a name may hold any bytes
        digest.update(path.read_bytes() if name in FOLDERS else _stamp(path))
    return digest.hexdigest()


def adapter_digest(path: Path) -> str:
    """Return what identifies an adapter, a file or a folder, besides its name: it changes when its files do."""
    return hashlib.sha256(_stamp(path)).hexdigest() if path.is_file() else checkpoint_digest(str(path))


def _stamp(path: Path) -> bytes:
    status = path.stat()
    return f"|{status.st_size}|{status.st_mtime_ns}|".encode()
