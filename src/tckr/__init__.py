"""Text-Conditioned Knowledge Recycling: a private image set in, a synthetic set, a Student and an honest report out.

import tckr

if __name__ == "__main__":  # the worker processes import this file
    result = tckr.run(tckr.load_settings(overrides=["prepare.source=path/to/folder"]))
    print(result.folder / "report" / "report.html")
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {  # no module of the package may have one of these names: importing it would hide the function
    "RunConfig": "tckr.config",
    "Settings": "tckr.config",
    "load_settings": "tckr.config",
    "plan": "tckr.running",
    "release": "tckr.releasing.releasing",
    "run": "tckr.running",
    "UserError": "tckr.errors",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `tckr --help` answers at once."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tckr' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
