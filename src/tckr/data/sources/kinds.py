"""What kind a source is, and digests that change when its files, or one beside it, do. Loads no numerical library."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from tckr.errors import UserError, shown

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
"""With its owner: a single word is a mistyped folder more often than one of the few old names of the hub."""
HUB_FILES = ("dataset_dict.json", "state.json")
LOADER_FILES = ("*.arrow", "*.tar", "metadata.csv", "metadata.jsonl", "train.csv", "train.jsonl", "train.json")


class SourceKind(StrEnum):
    """The five ways to read a source."""

    DIGITS = "digits"
    FOLDER = "folder"
    PARQUET = "parquet"
    DISK = "saved Hugging Face data set"
    HUB = "Hugging Face data set"


def source_kind(source: str) -> SourceKind:
    """Return how `source` is read: the word `digits`, an existing path, or else a Hugging Face name `owner/name`.

    Raises:
        UserError: it is neither an existing path nor the form `owner/name`.
    """
    if source == "digits":
        return SourceKind.DIGITS
    path = Path(source).expanduser()
    if _exists(path):
        return _kind_of_path(path)
    if is_hub_name(source):
        return SourceKind.HUB
    raise UserError(
        f"prepare.source {shown(source)} is no file or folder here; expected `digits`, a folder class_name/*.png, "
        "a Parquet file or folder, or a Hugging Face name owner/name such as uoft-cs/cifar10. Check the path."
    )


def is_hub_name(source: str) -> bool:
    """Return whether `source` is the name `owner/name` of a set on the hub, and no file or folder here."""
    return bool(HUB_NAME.fullmatch(source)) and not source.startswith(".") and not _exists(Path(source).expanduser())


class NamesSource(Protocol):
    """Settings that name a source, such as `PrepareConfig`."""

    @property
    def source(self) -> str:
        """Return what the user wrote."""
        ...


def source_digest(settings: NamesSource) -> str:
    """Return SHA-256 hex over what identifies the content of `settings.source` without reading it.

    A path gives its files' relative names, sizes and modification times; `digits` a constant; a Hugging Face name
    itself with the `@revision` the user wrote (without one, a newer revision on the hub is not noticed).

    Raises:
        UserError: the source does not exist.
    """
    kind = source_kind(settings.source)
    path = Path(settings.source).expanduser()
    if kind is SourceKind.DIGITS or not _exists(path):
        return hashlib.sha256(f"{kind}:{settings.source}".encode()).hexdigest()
    digest = hashlib.sha256(f"{kind}\n".encode())
    for line in _stat_lines(path):
        digest.update(line)
    return digest.hexdigest()


def file_digest(file: str) -> str:
    """Return SHA-256 hex of the content of `file`, which goes with a data set, such as its captions.

    Raises:
        UserError: there is no such file, or it may not be read.
    """
    try:
        stat = Path(file).stat()
        return _content_digest(file, stat.st_size, stat.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}; check the path") from None


@functools.lru_cache(maxsize=16)
def _content_digest(file: str, size: int, modified: int) -> str:
    """Return the digest; asked for by every step of a plan, the file is read again only when it has changed."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a NUL, is no path
        return False


def _kind_of_path(path: Path) -> SourceKind:
    if path.is_file():
        if path.suffix.lower() == ".parquet":
            return SourceKind.PARQUET
        raise UserError(
            f"prepare.source {path} is a {path.suffix or 'plain'} file; expected a .parquet file or a folder. "
            "Unpack archives into class_name/*.png first."
        )
    if any((path / name).is_file() for name in HUB_FILES):
        return SourceKind.DISK
    if any(path.glob("*.parquet")) or any(path.glob("data/*.parquet")):
        return SourceKind.PARQUET
    if any(any(path.glob(pattern)) for pattern in LOADER_FILES):
        return SourceKind.HUB
    return SourceKind.FOLDER


def _stat_lines(path: Path) -> list[bytes]:
    if path.is_file():
        return [_stat_line(path, path.name)]
    lines = []
    for folder, _, files in os.walk(path):
        lines += [_stat_line(Path(folder, name), os.path.relpath(os.path.join(folder, name), path)) for name in files]  # noqa: PTH118
    return sorted(lines)


def _stat_line(path: Path, name: str) -> bytes:
    try:
        stat = path.lstat()
    except OSError:
        return os.fsencode(name) + b"\0unreadable\n"
    return os.fsencode(name) + f"\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode()
