"""What must not be in a report that may be shared: folders of the owner's machine, which name people and projects."""

from __future__ import annotations

import re
from typing import Any

FOLDER = re.compile(r"^(/|~|\.|[A-Za-z]:[\\/]|\\\\)|[/\\].*[/\\]")
"""Absolute, relative to home or here, or more than one separator: `owner/name` of a hub is none."""


def without_folders(value: Any) -> Any:
    """Return settings in which every path is cut to its last name: `/home/ann/patients` becomes `.../patients`."""
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str) and FOLDER.search(value) and "://" not in value:
        return ".../" + re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value
