"""Properties that a file system needs for a safe store, each tested by trying it. File locks are not needed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tckr.disk import explained, nearest_folder
from tckr.engine.private import FILE, make_private
from tckr.errors import UserError

EARLY = 10**9
"""Seconds since 1970: a date before any file of a run."""

UNSUPPORTED = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTEMPTY, errno.EEXIST, errno.EXDEV)
"""Errors of file systems for unsupported operations."""


@dataclass(frozen=True)
class Property:
    """A capability of a file system.

    Attributes:
        text: description for a list.
        holds: function that tests it in an empty folder.
        otherwise: consequence if it is missing.
    """

    text: str
    holds: Callable[[Path], bool]
    otherwise: str


def _replaces_files(folder: Path) -> bool:
    (folder / "new").write_text("new")
    (folder / "old").write_text("old")
    (folder / "new").replace(folder / "old")
    return (folder / "old").read_text() == "new" and not (folder / "new").exists()


def _renames_folders(folder: Path) -> bool:
    (folder / "from").mkdir()
    (folder / "from" / "file").write_text("kept")
    (folder / "from").rename(folder / "to")
    return (folder / "to" / "file").read_text() == "kept" and not (folder / "from").exists()


def _keeps_the_first(folder: Path) -> bool:
    for name in ("first", "second"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(name)
    try:
        (folder / "second").rename(folder / "first")
    except OSError:
        return (folder / "first" / "file").read_text() == "first"
    return False


def _creates_once(folder: Path) -> bool:
    for _ in range(2):
        try:
            os.close(os.open(folder / "file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))
        except FileExistsError:
            return True
    return False


def _names_once(folder: Path) -> bool:
    (folder / "one").write_text("one")
    (folder / "two").write_text("two")
    (folder / "name").hardlink_to(folder / "one")
    try:
        (folder / "name").hardlink_to(folder / "two")
    except FileExistsError:
        return (folder / "name").read_text() == "one"
    return False


def _dates_files(folder: Path) -> bool:
    path = folder / "file"
    path.touch()
    os.utime(path, (EARLY, EARLY))
    early = path.stat().st_mtime
    os.utime(path)
    return path.stat().st_mtime > early


def _links_folders(folder: Path) -> bool:
    (folder / "there").mkdir()
    (folder / "link").symlink_to("there", target_is_directory=True)
    return (folder / "link").is_dir() and os.readlink(folder / "link") == "there"  # noqa: PTH115 - as it is written


def _keeps_rights(folder: Path) -> bool:
    path = folder / "file"
    path.touch()
    path.chmod(FILE)
    return path.stat().st_mode & 0o777 == FILE


NEEDED = (
    Property("a file replaces another atomically", _replaces_files, "a killed run could leave half a file"),
    Property("a folder is renamed with its content", _renames_folders, "a killed run could leave half an artifact"),
    Property(
        "a folder is not renamed over one with files",
        _keeps_the_first,
        "if two runs make the same artifact, the second would destroy that of the first",
    ),
    Property("only one process can create a file", _creates_once, "two runs could work in one folder"),
    Property("a link is not made over a file", _names_once, "two runs could create two secrets"),
    Property("files have the time of their last change", _dates_files, "a running run would be taken for dead"),
    Property("links to folders", _links_folders, "a run's folder could not show its artifacts"),
)

WANTED = (
    Property(
        "files readable only by their owner",
        _keeps_rights,
        "other users of this machine may be able to read the artifacts, many of which are private",
    ),
)


def lacks(folder: Path, properties: tuple[Property, ...] = NEEDED) -> list[Property]:
    """Return those of `properties` that the file system of `folder` lacks; `folder` need not exist.

    Raises:
        UserError: nothing can be written there.
    """
    with explained(folder), _probing(nearest_folder(folder)) as probe:
        return [found for number, found in enumerate(properties) if not _holds(found, probe / str(number))]


def require_sound(folder: Path) -> None:
    """Raise a UserError if a store in `folder` would not be safe."""
    if missing := lacks(folder):
        raise UserError(
            f"the file system of {folder} cannot hold a store: it lacks "
            + "; ".join(f'"{found.text}" ({found.otherwise})' for found in missing)
            + ". Choose a folder on another disk with --output; `tckr doctor --store FOLDER` tests a folder"
        )


def _holds(found: Property, folder: Path) -> bool:
    folder.mkdir()
    try:
        return found.holds(folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        raise


@contextmanager
def _probing(folder: Path) -> Iterator[Path]:
    probe = folder / f".tckr.{secrets.token_hex(16)}.partial"
    make_private(probe)
    try:
        yield probe
    finally:
        shutil.rmtree(probe, ignore_errors=True)
