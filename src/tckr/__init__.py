"""Text-Conditioned Knowledge Recycling: a private image set in, a synthetic set, a Student and an honest report out.

    import tckr
    result = tckr.run(tckr.load_settings(overrides=["prepare.source=path/to/folder"]))
    print(result.folder / "report" / "report.html")
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "RunConfig": "tckr.config",
    "Settings": "tckr.config",
    "load_settings": "tckr.config",
    "pipeline": "tckr.pipeline",
    "plan": "tckr.run",
    "run": "tckr.run",
    "UserError": "tckr.errors",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `tckr --help` answers at once."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tckr' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
