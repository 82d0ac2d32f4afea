"""Check where a run may write: never over its data, never under a name that TCKR uses itself. Writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

from tckr.engine.execution import ExecutionConfig
from tckr.engine.folders import Folder, Kind
from tckr.errors import UserError

RESERVED = ("store", "sealed", "artifacts", "report", "config.yaml", "log.jsonl", "sweep.yaml", "manifest.json")
"""Names of TCKR's own files and folders, compared without case, because some disks do not distinguish it."""


def check_places(execution: ExecutionConfig, kind: Kind, source: Path | None) -> None:
    """Raise a UserError if a run or sweep must not write to the folders in `execution`.

    Args:
        execution: names the folder of the run and the store.
        kind: kind of the run's folder.
        source: the data that it reads, if they are a file or folder.
    """
    _check_name(execution)
    _check_output(execution.output)
    for folder in (execution.folder, execution.store):
        if source is not None and (_inside(source, folder) or _inside(folder, source)):
            raise UserError(
                f"prepare.source {source} and the output folder {folder} overlap: they are equal, or one is "
                "inside the other. Nothing was written; give an --output outside of the data, or another --name"
            )
    Folder(execution.folder, kind).check()
    Folder(execution.store, Kind.STORE).check()


def _check_name(execution: ExecutionConfig) -> None:
    name, output = execution.name, execution.output
    if name.casefold() in RESERVED:
        raise UserError(f"the name {name!r} is used by TCKR itself; give another --name")
    others = os.listdir(output) if output.is_dir() else []  # noqa: PTH208 - names
    if name not in others and (alike := [other for other in others if other.casefold() == name.casefold()]):
        raise UserError(
            f"{output} contains {alike[0]!r}, and the name {name!r} differs from it only in upper and lower "
            "case, which many disks do not distinguish; give another --name"
        )


def _check_output(output: Path) -> None:
    for path in (output, *output.parents):
        if os.path.lexists(path) and not path.is_dir():
            what = "a broken link" if path.is_symlink() else "a file"
            raise UserError(f"{path} is {what}; expected a folder for the runs; give another --output")


def _inside(path: Path, folder: Path) -> bool:
    """Return whether `path` is `folder` or inside it, following links and comparing folders as the disk does."""
    return folder.exists() and any(parent.samefile(folder) for parent in _and_parents(path))


def _and_parents(path: Path) -> list[Path]:
    """Return the existing ones among `path` and its parents, following links."""
    path = Path(os.path.realpath(path))
    return [parent for parent in (path, *path.parents) if parent.exists()]
