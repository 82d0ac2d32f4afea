"""Text-Conditioned Knowledge Recycling: a private image set in, a synthetic set, a Student and a report out.

import tckr

if __name__ == "__main__":  # the worker processes import this file
    result = tckr.run("path/to/folder", generate={"cardinality": 5})
    print(result.student.accuracy, result.leakage)
    result.release("path/to/release", license="cc-by-4.0")
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tckr.api.calling import run
    from tckr.api.result import Model, Result
    from tckr.errors import UserError
    from tckr.metrics.estimate import Estimate
    from tckr.releasing.releasing import GateError, Release, release

    __version__: str

__all__ = ["Estimate", "GateError", "Model", "Release", "Result", "UserError", "__version__", "release", "run"]

_PUBLIC = {  # no module of the package may have one of these names: importing it would hide the function
    "Estimate": "tckr.metrics.estimate",
    "GateError": "tckr.releasing.releasing",
    "Model": "tckr.api.result",
    "Release": "tckr.releasing.releasing",
    "Result": "tckr.api.result",
    "UserError": "tckr.errors",
    "release": "tckr.releasing.releasing",
    "run": "tckr.api.calling",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import tckr` and `tckr --help` answer at once."""
    if name == "__version__":
        return _version()
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tckr' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__


def _version() -> str:
    try:
        return metadata.version("tckr")
    except metadata.PackageNotFoundError:  # a source tree on the path alone
        return "not installed"
