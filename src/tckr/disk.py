"""What the operating system refuses to a writer, as a sentence: a full disk, a quota, a read-only mount, missing rights.

Libraries report it in their own ways (`OSError`, or the system's words inside an error of safetensors, Arrow or torch);
`explain` knows them all, so that no stage has to.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tckr.errors import UserError

AGAIN = "give the same command again: it goes on"
PLACE = "--output (for a release with --to)"
UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
NUMBERED = re.compile(r"\(os error (\d+)\)|\berrno:? (\d+)", re.IGNORECASE)
"""How Rust libraries and Arrow quote the system's number for an error."""
CUT_SHORT = re.compile(
    r"PytorchStreamWriter failed|inline_container.*unexpected pos|\d+ requested and \d+ written", re.DOTALL
)
"""What torch and NumPy say when a file could not be written to its end; they do not say why."""


def size_text(num_bytes: float) -> str:
    """Return for example `1.6 GB`, `3.1 MB`, `12.0 kB` or `80 bytes` (powers of ten)."""
    for unit, size in UNITS:
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes:.0f} bytes"


def nearest_folder(path: Path) -> Path:
    """Return the nearest folder above `path`, or itself, that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())


def free_bytes(path: Path) -> int:
    """Return what this user may still write to the disk of `path`, which need not exist."""
    found = os.statvfs(nearest_folder(path))
    return found.f_bavail * found.f_frsize


@contextmanager
def explained(place: Path) -> Iterator[None]:
    """Turn what the operating system refuses inside the block into a sentence.

    Args:
        place: what is being written, for errors that do not name a file.

    Raises:
        UserError: in place of such an error; others pass.
    """
    try:
        yield
    except Exception as error:
        told = explain(error, place)
        if told is None:
            raise
        raise told from error


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary name beside `path`, then rename: a killed process leaves no half-written `path`.

    Raises:
        UserError: the disk is full, or the operating system refuses otherwise to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with explained(path):
            write(partial)
            os.replace(partial, path)  # noqa: PTH105 - Path.replace is the same call; this one reads as what it is
    finally:
        partial.unlink(missing_ok=True)


class DiskError(UserError):
    """Say what the operating system refused."""


def explain(error: Exception, place: Path) -> DiskError | None:
    """Return what the user must know of `error` if the operating system refused to write, else None.

    A message that a stage made itself stays, unless the reason behind it is a full disk: "cannot be loaded" is then no help.
    """
    if isinstance(error, DiskError):
        return None
    cause: BaseException | None = error
    while cause is not None:
        number = _number_of(cause)
        if number is not None and (number in NO_ROOM or not isinstance(error, UserError)):
            return DiskError(SENTENCES[number](_path_of(cause, number, place)))
        cause = cause.__cause__
    return None


def _path_of(error: BaseException, number: int, place: Path) -> Path:
    named = error.filename if isinstance(error, OSError) else None
    if not isinstance(named, str | bytes):
        return _fullest(place) if number in NO_ROOM else place
    path = Path(os.fsdecode(named))
    return place if path.parent == place.parent and path.name.startswith(f".{place.name}.") else path  # its temporary name


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, UserError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in SENTENCES else None
    text = str(error)
    found = [int(one or other) for one, other in NUMBERED.findall(text)]
    found += [number for number in SENTENCES if os.strerror(number) in text]
    found += [errno.ENOSPC] if CUT_SHORT.search(text) else []
    return next((number for number in found if number in SENTENCES), None)


def _fullest(place: Path) -> Path:
    """Return `place`, or a folder for temporary files whose disk is full while that of `place` is not."""
    others = (Path(tempfile.gettempdir()), Path("/dev/shm"))
    full = (path for path in others if path.is_dir() and not _has_room(path))
    return next(full, place) if _has_room(place) else place


def _has_room(path: Path) -> bool:
    return free_bytes(path) >= 1e6 and not _lacks_inodes(path)


def _lacks_inodes(path: Path) -> bool:
    found = os.statvfs(nearest_folder(path))
    return bool(found.f_files) and not found.f_favail


def no_room(path: Path, needed: str = "more than that", kept: int = 0) -> str:
    """Return the sentence about a disk that is full.

    Args:
        path: what was to be written.
        needed: for it.
        kept: bytes of the free ones that are not to be used for it.
    """
    folder = nearest_folder(path)
    found = f"the disk of {folder} has {size_text(free_bytes(folder))} free"
    if _lacks_inodes(folder):
        return f"{path} cannot be written: {found} but no free inode, so no room for a file. Delete files there and {AGAIN}"
    keeping = f" while {size_text(kept)} must stay free for checkpoints and artifacts" if kept else ""
    return (
        f"{path} cannot be written: {found} and it needs {needed}{keeping}. Free space there and {AGAIN}; or choose another "
        f"disk with {PLACE}"
    )


def _no_quota(path: Path) -> str:
    return (
        f"{path} cannot be written: your quota on the disk of {nearest_folder(path)} is used up, though the disk has "
        f"{size_text(free_bytes(path))} free. Delete files of yours there, or ask for a larger quota, and {AGAIN}"
    )


def _too_large(path: Path) -> str:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    most = "its file system takes" if limit == resource.RLIM_INFINITY else f"this process may write ({size_text(limit)})"
    return (
        f"{path} cannot be written: it needs more bytes in one file than {most}; the disk has {size_text(free_bytes(path))} "
        f"free. Raise the limit (`ulimit -f unlimited`), or use another disk, and {AGAIN}"
    )


def _read_only(path: Path) -> str:
    return (
        f"{path} cannot be written: the disk of {nearest_folder(path)} is mounted for reading only. Mount it for writing "
        f"and {AGAIN}; or choose another folder with {PLACE}"
    )


def _refused(path: Path) -> str:
    return (
        f"the operating system refuses access to {path} (permission denied). Give yourself the right to it, as `ls -ld` "
        f"shows, and {AGAIN}; or choose another folder with {PLACE}"
    )


def _broken(path: Path) -> str:
    return (
        f"the disk of {nearest_folder(path)} reports an input/output error at {path}. Have the disk checked, then {AGAIN}; "
        "`tckr status` says which artifacts are damaged"
    )


def _unsupported(path: Path) -> str:
    return (
        f"{path} cannot be used: its file system lacks what TCKR needs there (locks of files, or links), or does not allow "
        f"it just now, as some network disks do. Choose a folder on another disk with {PLACE}"
    )


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
SENTENCES: dict[int, Callable[[Path], str]] = {
    errno.ENOSPC: no_room,
    errno.EDQUOT: _no_quota,
    errno.EFBIG: _too_large,
    errno.EROFS: _read_only,
    errno.EACCES: _refused,
    errno.EPERM: _refused,
    errno.EIO: _broken,
    errno.ENOLCK: _unsupported,
    errno.EOPNOTSUPP: _unsupported,
    errno.ENOSYS: _unsupported,
}
