"""What kind a source is. Loads no numerical library."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from tckr.errors import UserError, shown

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
"""With its owner: a single word is a mistyped folder more often than one of the few old names of the hub."""


class SourceKind(StrEnum):
    """What a source names; how a folder is read, `tckr.data.layouts` decides."""

    DIGITS = "digits"
    FOLDER = "folder"
    PARQUET = "parquet"
    HUB = "Hugging Face data set"


def source_kind(source: str) -> SourceKind:
    """Return how `source` is read: the word `digits`, an existing path, or else a Hugging Face name `owner/name`.

    Raises:
        UserError: it is neither an existing path nor the form `owner/name`.
    """
    if source == "digits":
        return SourceKind.DIGITS
    path = Path(source).expanduser()
    if exists(path):
        return _kind_of_path(path)
    if is_hub_name(source):
        return SourceKind.HUB
    raise UserError(
        f"prepare.source {shown(source)} is no file or folder here; expected `digits`, a folder class_name/*.png, "
        "a Parquet file or folder, or a Hugging Face name owner/name such as uoft-cs/cifar10. Check the path."
    )


def is_hub_name(source: str) -> bool:
    """Return whether `source` is the name `owner/name` of a set on the hub, and no file or folder here."""
    return bool(HUB_NAME.fullmatch(source)) and not source.startswith(".") and not exists(Path(source).expanduser())


def exists(path: Path) -> bool:
    """Return whether there is a file or folder `path`, whatever a user wrote."""
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
    return SourceKind.FOLDER
