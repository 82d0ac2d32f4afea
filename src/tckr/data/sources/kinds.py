"""Determine the kind of a source, without numerical libraries."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from tckr.errors import UserError, shown

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
"""Names must have an owner: a single word is more often a mistyped folder than one of the few old names of the hub."""


class SourceKind(StrEnum):
    """Kind of a source; `tckr.data.layouts` decides how a folder is read."""

    DIGITS = "digits"
    FOLDER = "folder"
    PARQUET = "parquet"
    HUB = "Hugging Face data set"


def source_kind(source: str) -> SourceKind:
    """Return the kind of `source`: the word `digits`, an existing path, or else a Hugging Face name `owner/name`.

    Raises:
        UserError: it is not an existing path and does not have the form `owner/name`.
    """
    if source == "digits":
        return SourceKind.DIGITS
    path = Path(source).expanduser()
    if exists(path):
        return _kind_of_path(path)
    if is_hub_name(source):
        return SourceKind.HUB
    raise UserError(
        f"prepare.source {shown(source)} is not an existing file or folder; expected `digits`, a folder class_name/*.png, "
        "a Parquet file or folder, or a Hugging Face name owner/name such as uoft-cs/cifar10. Check the path."
    )


def is_hub_name(source: str) -> bool:
    """Return whether `source` is the name `owner/name` of a set on the hub, and not an existing file or folder."""
    return bool(HUB_NAME.fullmatch(source)) and not source.startswith(".") and not exists(Path(source).expanduser())


def exists(path: Path) -> bool:
    """Return whether there is a file or folder `path`; invalid paths give False."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a path that is too long, or contains a NUL
        return False


def _kind_of_path(path: Path) -> SourceKind:
    if path.is_file():
        if path.suffix.lower() == ".parquet":
            return SourceKind.PARQUET
        raise UserError(
            f"prepare.source {path} is a {path.suffix or 'plain'} file; expected a .parquet file or a folder. "
            "Unpack archives into class_name/*.png first."
        )
    return SourceKind.FOLDER
