"""Tell checkpoints apart without loading them; imports neither torch nor transformers."""

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

    Anything else (a hub id, an embedded model) is returned as it is.
    """
    path = _absolute(name)
    return str(path) if name and os.path.exists(path) else name  # noqa: PTH110 - this never raises, whatever a user wrote


def _absolute(name: str) -> Path:
    return Path(os.path.expanduser(name)).absolute()  # noqa: PTH111 - likewise


ModelName = Annotated[PathName, AfterValidator(from_any_folder)]
"""A folder, made absolute, or a name."""


def checkpoint_digest(name: str) -> str:
    """Return what identifies the checkpoint `name` besides its name: it changes when its files do.

    An embedded checkpoint is identified by its content, so that every installation agrees; a local folder by names, sizes
    and modification times of its files; anything else (a hub id, a built-in architecture) by its name alone: pin a revision.

    Raises:
        UserError: the name can only be that of a folder, and there is none.
    """
    if name in FOLDERS:
        return _embedded_digest(name)
    if os.path.isdir(name):  # noqa: PTH112 - never raises, whatever a user wrote
        return _digest(Path(name), _stamp)
    if _is_path(name):
        raise UserError(
            f"there is no folder {name} (looked for at {_absolute(name)}); expected the folder of a checkpoint, or "
            "the id owner/name of one on the hub; correct the path"
        )
    return name


def _is_path(name: str) -> bool:
    """Return whether `name` can be a path alone: an id on the hub has one slash at most, and no such beginning."""
    return name.startswith(("/", "./", "../", "~")) or "\\" in name or name.count("/") > 1


@cache
def _embedded_digest(name: str) -> str:
    """Return the digest of what ships with the package: it cannot change, and a sweep asks for it hundreds of times."""
    return _digest(Path(resolve(name)), Path.read_bytes)


def _digest(folder: Path, content: Callable[[Path], bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(os.fsencode(path.relative_to(folder).as_posix()))  # a name may hold any bytes
        digest.update(content(path))
    return digest.hexdigest()


def adapter_digest(name: Path | str) -> str:
    """Return what identifies an adapter, a file, a folder or a hub id, besides its name: it changes when its files do.

    Raises:
        UserError: the name can only be that of a file or folder, and there is none.
    """
    path = Path(name)
    if os.path.isfile(path):  # noqa: PTH113 - never raises, whatever a user wrote
        return hashlib.sha256(_stamp(path)).hexdigest()
    if not os.path.exists(path) and (path.suffix in WEIGHTS or _is_path(str(name))):  # noqa: PTH110 - likewise
        raise UserError(
            f"adapter {_absolute(str(name))} does not exist; expected the LoRA .safetensors file of a model with the same "
            "architecture, or a folder that holds one; correct the path"
        )
    return checkpoint_digest(str(name))


def _stamp(path: Path) -> bytes:
    status = path.stat()
    return f"|{status.st_size}|{status.st_mtime_ns}|".encode()
