"""What must not be in a report that may be shared: folders, which name people and projects, and which images were copies."""

from __future__ import annotations

import re
from typing import Any

from tckr.data.sources import source_kind
from tckr.data.sources.kinds import SourceKind
from tckr.errors import UserError

PRIVATE_NAME = "private image set"
"""Instead of the name of a folder or file, which may name a person."""

FOLDER = re.compile(r"^(/|~|\.|[A-Za-z]:[\\/]|\\\\)|[/\\].*[/\\]")
"""Absolute, relative to home or here, or more than one separator: `owner/name` of a hub is none."""


REDRAW = "redraw"
"""Setting of `generate` that lists images flagged as copies of members."""


def shareable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a stage without folders and without the list of redrawn images, of which the length stays."""
    shown: dict[str, Any] = without_folders(settings)
    redrawn = shown.get(REDRAW)
    return shown | {REDRAW: f"{len(redrawn):,} in all, not shown"} if redrawn else shown


def without_folders(value: Any) -> Any:
    """Return settings in which every path is cut to its last name: `/home/ann/patients` becomes `.../patients`."""
    if isinstance(value, dict):
        return {key: public_source(inner) if key == "source" else without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str) and FOLDER.search(value) and "://" not in value:
        return ".../" + re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


def public_source(source: Any) -> Any:
    """Return the name of a public source; a folder, a file or what is no longer there keeps its name to itself."""
    return source if isinstance(source, str) and is_public(source) else PRIVATE_NAME


def is_public(source: str) -> bool:
    """Return whether `source` is `digits` or a name on the hub, by how it is read and not by how it looks."""
    try:
        return source_kind(source) in (SourceKind.DIGITS, SourceKind.HUB)
    except UserError:
        return False
