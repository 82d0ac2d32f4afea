"""Files and folders for their owner alone: folders 0700, files 0600, whatever the umask of the process is."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


def make_private(folder: Path) -> None:
    """Create `folder`, and its parents with the usual mode; one that exists keeps its mode."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=FOLDER)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    folder.chmod(FOLDER)


def create_private(file: Path) -> None:
    """Create an empty file unless it exists; one that exists keeps its mode."""
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))
    except FileExistsError:
        return
    file.chmod(FILE)


def close_to_others(folder: Path) -> None:
    """Give every file and folder below `folder`, and itself, to its owner alone."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(FOLDER if path.is_dir() else FILE)
