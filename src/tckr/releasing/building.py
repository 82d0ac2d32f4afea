"""Build a folder under a temporary name and rename it when it is complete."""

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
"""1980-01-01, the modification time of every released file; the real times are not released."""


@dataclass(frozen=True)
class Site:
    """Place where a release is built: `folder` is renamed to the target at the end, `work` is deleted."""

    folder: Path
    work: Path


def check_target(target: Path) -> None:
    """Raise a UserError unless `target` is missing or an empty folder outside all folders of TCKR."""
    refuse_inside(target)
    if os.path.lexists(target) and not (target.is_dir() and not target.is_symlink() and not any(target.iterdir())):
        raise UserError(f"{target} exists and is not overwritten; give a new folder with --to, or remove it")


@contextmanager
def building(target: Path) -> Iterator[Site]:
    """Yield a place to build in; if the block ends without an error, its folder is renamed to `target`.

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
        raise UserError(f"{target} cannot be created: a parent of it is a file; give another folder with --to") from None
