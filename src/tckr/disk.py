"""Turn write errors of the operating system into messages: full disk, quota, read-only mount, missing rights.

Libraries report them in different ways (`OSError`, or the system's text inside an error of safetensors, Arrow or torch).
`explain` handles all of them for every stage.
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

AGAIN = "run the same command again; it continues"
PLACE = "--output (for a release with --to)"
UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
NUMBERED = re.compile(r"\(os error (\d+)\)|\berrno:? (\d+)", re.IGNORECASE)
"""How Rust libraries and Arrow quote the system's error number."""
CUT_SHORT = re.compile(
    r"PytorchStreamWriter failed|inline_container.*unexpected pos|\d+ requested and \d+ written|database or disk is full",
    re.DOTALL,
)
"""What torch, NumPy and SQLite say when a file could not be written to its end; the first two do not say why."""


def size_text(num_bytes: float) -> str:
    """Return e.g. `1.6 GB`, `3.1 MB`, `12.0 kB` or `80 bytes` (powers of ten)."""
    for unit, size in UNITS:
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes:.0f} bytes"


def nearest_folder(path: Path) -> Path:
    """Return the nearest existing folder: `path` itself or one above it."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())


def free_bytes(path: Path) -> int:
    """Return the bytes that this user may still write to the disk of `path`, which need not exist."""
    found = os.statvfs(nearest_folder(path))
    return found.f_bavail * found.f_frsize


@contextmanager
def explained(place: Path) -> Iterator[None]:
    """Turn a write error of the operating system inside the block into a UserError.

    Args:
        place: path that is being written, for errors that do not name a file.

    Raises:
        UserError: instead of such an error; other errors pass unchanged.
    """
    try:
        yield
    except Exception as error:
        told = explain(error, place)
        if told is None:
            raise
        raise told from error


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary name beside `path`, then rename it; a killed process leaves no partial `path`.

    Raises:
        UserError: the disk is full, or the operating system refuses to write.
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
    """The operating system refused to write."""


def explain(error: Exception, place: Path) -> DiskError | None:
    """Return a message for the user if `error` means that the operating system refused to write, else None.

    A UserError of a stage is kept, unless it was caused by a full disk, about which "cannot be loaded" would say nothing.
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
    # a temporary name of `place`
    return place if path.parent == place.parent and path.name.startswith(f".{place.name}.") else path


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
    """Return `place`, or a full folder for temporary files if the disk of `place` is not full."""
    others = (Path(tempfile.gettempdir()), Path("/dev/shm"))
    full = (path for path in others if path.is_dir() and not _has_room(path))
    return next(full, place) if _has_room(place) else place


def _has_room(path: Path) -> bool:
    return free_bytes(path) >= 1e6 and not _lacks_inodes(path)


def _lacks_inodes(path: Path) -> bool:
    found = os.statvfs(nearest_folder(path))
    return bool(found.f_files) and not found.f_favail


def no_room(path: Path, needed: str = "more than that", kept: int = 0) -> str:
    """Return the message about a full disk.

    Args:
        path: path that should be written.
        needed: required space as text.
        kept: free bytes that must stay free.
    """
    folder = nearest_folder(path)
    found = f"the disk of {folder} has {size_text(free_bytes(folder))} free"
    if _lacks_inodes(folder):
        return (
            f"{path} cannot be written: {found} but no free inode, so no file can be created. Delete files there and {AGAIN}"
        )
    keeping = f" while {size_text(kept)} must stay free for checkpoints and artifacts" if kept else ""
    return (
        f"{path} cannot be written: {found}, but it needs {needed}{keeping}. Free space there and {AGAIN}; "
        f"or choose another disk with {PLACE}"
    )


def _no_quota(path: Path) -> str:
    return (
        f"{path} cannot be written: your quota on the disk of {nearest_folder(path)} is used up, although the disk has "
        f"{size_text(free_bytes(path))} free. Delete some of your files there, or request a larger quota, and {AGAIN}"
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
        f"{path} cannot be written: the disk of {nearest_folder(path)} is mounted read-only. Mount it for writing "
        f"and {AGAIN}; or choose another folder with {PLACE}"
    )


def _refused(path: Path) -> str:
    return (
        f"the operating system refuses access to {path} (permission denied). Change its permissions, which `ls -ld` "
        f"shows, and {AGAIN}; or choose another folder with {PLACE}"
    )


def _broken(path: Path) -> str:
    return (
        f"the disk of {nearest_folder(path)} reports an input/output error at {path}. Check the disk, then {AGAIN}; "
        "`tckr status` lists damaged artifacts"
    )


def _unsupported(path: Path) -> str:
    return (
        f"{path} cannot be used: its file system does not support file locks or links, or does not allow "
        f"them at the moment, as on some network disks. Choose a folder on another disk with {PLACE}"
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
