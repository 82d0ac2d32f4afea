"""Create files and folders that only their owner can read: folders 0700, files 0600, regardless of the umask."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


def make_private(folder: Path) -> None:
    """Create `folder`, and its parents with the default mode. An existing folder keeps its mode."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=FOLDER)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    folder.chmod(FOLDER)


def create_private(file: Path) -> None:
    """Create an empty file unless it exists. An existing file keeps its mode."""
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))
    except FileExistsError:
        return
    file.chmod(FILE)


def close_to_others(folder: Path) -> None:
    """Make `folder` and every file and folder below it readable only by their owner."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(FOLDER if path.is_dir() else FILE)
