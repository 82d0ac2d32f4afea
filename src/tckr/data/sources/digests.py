"""Digests of the content of a source, or of a file beside it, without numerical libraries.

All files of a source are read once. While names, sizes and modification times stay equal, the digest is then known without
reading (`load_digests`, `save_digests`); `verify_source` always reads again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tckr.data.sources.kinds import SourceKind, exists, source_kind
from tckr.disk import write_whole
from tckr.errors import UserError

DIGESTS_NAME = "source_digests.json"
MOST_KEPT = 1000
"""Maximum number of pairs in the file; the oldest are removed."""

_KNOWN: dict[str, str] = {}
"""Digest of names, sizes and times -> digest of the content, as read or loaded by this process."""


class NamesSource(Protocol):
    """Settings that name a source, such as `PrepareConfig`."""

    @property
    def source(self) -> str:
        """Return the user's input."""
        ...

    @property
    def follow_links(self) -> bool:
        """Return whether links that point outside of the source are read."""
        ...


def source_digest(settings: NamesSource) -> str:
    """Return a SHA-256 (hex) that identifies the content of `settings.source`.

    For a path it covers the files' relative names and content; for `digits` it is constant; for a Hugging Face name it
    covers the name with its `@revision` (without one, a newer revision on the hub is not noticed).

    Raises:
        UserError: the source does not exist.
    """
    kind = source_kind(settings.source)
    path = Path(settings.source).expanduser()
    if kind is SourceKind.DIGITS or not exists(path):
        return hashlib.sha256(f"{kind}:{settings.source}".encode()).hexdigest()
    times = _digest_of_times(path, kind, settings.follow_links)
    if times not in _KNOWN:
        _KNOWN[times] = _digest_of_content(path, kind, settings.follow_links)
    return _KNOWN[times]


def verify_source(settings: NamesSource) -> bool:
    """Read all files of the source again; return whether their content is unchanged, and store the new digest if not."""
    kind = source_kind(settings.source)
    path = Path(settings.source).expanduser()
    if kind is SourceKind.DIGITS or not exists(path):
        return True
    times = _digest_of_times(path, kind, settings.follow_links)
    found = _digest_of_content(path, kind, settings.follow_links)
    before = _KNOWN.get(times, found)
    _KNOWN[times] = found
    return before == found


def load_digests(folder: Path) -> None:
    """Load the digests saved in `folder`; ignore an unreadable file."""
    try:
        found = json.loads((folder / DIGESTS_NAME).read_text(encoding="ascii"))
        pairs = {str(times): str(content) for times, content in found.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return
    for times, content in pairs.items():
        _KNOWN.setdefault(times, content)


def save_digests(folder: Path) -> None:
    """Save the known digests in `folder`, readable only by its owner."""
    text = json.dumps(dict(list(_KNOWN.items())[-MOST_KEPT:]), indent=1)
    path = folder / DIGESTS_NAME
    if path.is_file() and path.read_text(encoding="ascii", errors="replace") == text:
        return

    def fill(partial: Path) -> None:
        partial.touch(mode=0o600)
        partial.write_text(text, encoding="ascii")

    write_whole(path, fill)


def _digest_of_times(path: Path, kind: SourceKind, follow_links: bool) -> str:
    return _digest([f"{kind}\n{path.absolute()}\n{follow_links}\n".encode(), *_lines(path, follow_links, _times_of)])


def _digest_of_content(path: Path, kind: SourceKind, follow_links: bool) -> str:
    return _digest([f"{kind}\n".encode(), *_lines(path, follow_links, _content_of)])


def _digest(lines: list[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def _lines(path: Path, follow_links: bool, what: Callable[[Path], str]) -> list[bytes]:
    """Return a line for each file with its name and `what` of it; for a link that is not followed, its target."""
    if path.is_file():
        return [_line(path, path.name, True, what)]
    lines = []
    for folder, _, files in os.walk(path):
        for name in files:
            file = Path(folder, name)
            lines.append(_line(file, os.path.relpath(file, path), follow_links, what))
    return sorted(lines)


def _line(file: Path, name: str, follow_links: bool, what: Callable[[Path], str]) -> bytes:
    try:
        is_link = file.is_symlink()
        found = f"link {os.fsencode(os.readlink(file)).hex()}" if is_link else ""  # noqa: PTH115 - bytes that are no UTF-8
        if not is_link or follow_links:
            found += what(file)
    except (OSError, RuntimeError):
        found = "unreadable"
    return os.fsencode(name) + f"\0{found}\n".encode()


def _times_of(file: Path) -> str:
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _content_of(file: Path) -> str:
    """Return the digest of a regular file; pipes and devices are not opened."""
    if not stat.S_ISREG(file.stat().st_mode):
        return "not a regular file"
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def file_digest(file: str) -> str:
    """Return SHA-256 (hex) of the content of `file`, which belongs to a data set, such as its captions.

    Raises:
        UserError: the file does not exist or cannot be read.
    """
    try:
        stat = Path(file).stat()
        return _content_digest(file, stat.st_size, stat.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}; check the path") from None


@functools.lru_cache(maxsize=16)
def _content_digest(file: str, size: int, modified: int) -> str:
    """Return the digest. Every step of a plan needs it, so the file is read again only if it has changed."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
