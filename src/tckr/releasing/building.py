"""Build a folder beside its place and move it there when it is whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tckr.disk import explained
from tckr.engine.folders import refuse_inside
from tckr.errors import UserError

NO_TIME = 315532800
"""1980-01-01, the time of every released file: when files were written is nobody's business."""


@dataclass(frozen=True)
class Site:
    """Where a release is built: `folder` will be moved to its place, `work` is deleted."""

    folder: Path
    work: Path


def check_target(target: Path) -> None:
    """Raise a UserError unless `target` is missing or an empty folder outside of what TCKR made for itself."""
    refuse_inside(target)
    if os.path.lexists(target) and not (target.is_dir() and not target.is_symlink() and not any(target.iterdir())):
        raise UserError(f"{target} exists, and is left as it is; give a new folder with --to, or remove it")


@contextmanager
def building(target: Path) -> Iterator[Site]:
    """Yield where to build; what lies there when the block ends without an error is then at `target`.

    A killed process leaves a hidden folder beside `target`, which may be removed.
    """
    with explained(target):
        _make_parent(target)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".partial", dir=target.parent) as beside:
            site = Site(Path(beside) / "release", Path(beside) / "work")
            for folder in (site.folder, site.work):
                folder.mkdir()
            yield site
            for path in (*site.folder.rglob("*"), site.folder):
                os.utime(path, (NO_TIME, NO_TIME))
            site.folder.rename(target)


def _make_parent(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(
            f"{target} cannot be made: above it is a file, not a folder; give another folder with --to"
        ) from None
