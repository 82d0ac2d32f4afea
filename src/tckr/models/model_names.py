"""Identify checkpoints without loading them and without importing torch or transformers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from tckr.errors import UserError
from tckr.models.embedded import FOLDERS, resolve
from tckr.strict import PathName

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def from_any_folder(name: str) -> str:
    """Return the name of an existing file or folder as an absolute path, so that a run continues from any working directory.

    Anything else (a hub id, an embedded model) is returned unchanged.
    """
    path = _absolute(name)
    return str(path) if name and os.path.exists(path) else name  # noqa: PTH110 - this never raises, whatever a user wrote


def _absolute(name: str) -> Path:
    return Path(os.path.expanduser(name)).absolute()  # noqa: PTH111 - likewise


ModelName = Annotated[PathName, AfterValidator(from_any_folder)]
"""A name, or the absolute path of a folder."""


def checkpoint_digest(name: str) -> str:
    """Return a digest that changes when the files of the checkpoint `name` change.

    An embedded checkpoint is identified by its content, so that every installation agrees; a local folder by names, sizes
    and modification times of its files; anything else (a hub id, a built-in architecture) only by its name, so pin a
    revision.

    Raises:
        UserError: the name can only be a path, and there is no such folder.
    """
    if name in FOLDERS:
        return _embedded_digest(name)
    if os.path.isdir(name):  # noqa: PTH112 - never raises, whatever a user wrote
        return _digest(Path(name), _stamp)
    if _is_path(name):
        raise UserError(
            f"there is no folder {name} (searched at {_absolute(name)}); expected the folder of a checkpoint, or "
            "the id owner/name of one on the hub; correct the path"
        )
    return name


def _is_path(name: str) -> bool:
    """Return whether `name` can only be a path: an id on the hub has at most one slash, and no such prefix."""
    return name.startswith(("/", "./", "../", "~")) or "\\" in name or name.count("/") > 1


@cache
def _embedded_digest(name: str) -> str:
    """Return the digest of a model that ships with the package; it is cached, because a sweep needs it hundreds of times."""
    return _digest(Path(resolve(name)), Path.read_bytes)


def _digest(folder: Path, content: Callable[[Path], bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(os.fsencode(path.relative_to(folder).as_posix()))  # a name may contain any bytes
        digest.update(content(path))
    return digest.hexdigest()


def adapter_digest(name: Path | str) -> str:
    """Return a digest of an adapter (file, folder or hub id) that changes when its files do.

    Raises:
        UserError: the name can only be a path, and there is no such file or folder.
    """
    path = Path(name)
    if os.path.isfile(path):  # noqa: PTH113 - never raises, whatever a user wrote
        return hashlib.sha256(_stamp(path)).hexdigest()
    if not os.path.exists(path) and (path.suffix in WEIGHTS or _is_path(str(name))):  # noqa: PTH110 - likewise
        raise UserError(
            f"adapter {_absolute(str(name))} does not exist; expected the LoRA .safetensors file of a model with the same "
            "architecture, or a folder that contains one; correct the path"
        )
    return checkpoint_digest(str(name))


def _stamp(path: Path) -> bytes:
    status = path.stat()
    return f"|{status.st_size}|{status.st_mtime_ns}|".encode()
