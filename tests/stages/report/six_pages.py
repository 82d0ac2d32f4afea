"""Six reports that a reader meets, written into a folder: `python -m tests.stages.report.six_pages FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.stages.report.conftest import make_report
from tests.stages.report.sample import Sample

GROUPS = {"train": 180, "validation": 20, "test": 50, "members": 90}

SIX: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "leaks": ({}, {}),
    "not_measured": ({"measured": False, "canaries": False}, {}),
    "no_measurable_leakage": ({"depth": "full", "leak": 0.0, "canaries": False}, {}),
    "invalid": ({"valid": False}, {}),
    "too_few_images": ({"num_test": 16, "depth": "teacher", "canaries": False}, {}),
    "groups": ({"groups": GROUPS, "depth": "full", "copy_excess": 0.031, "image_size": 224}, {"include_private": True}),
}
"""Name -> kind of run, settings of the report."""


def write_pages(folder: Path) -> dict[str, Path]:
    """Write the six pages and return where they lie."""
    return {name: _page(folder / name, *kinds) for name, kinds in SIX.items()}


def _page(folder: Path, sample: dict[str, Any], settings: dict[str, Any]) -> Path:
    make_report(folder, Sample(**sample), title="Skin lesions, clinic North", **settings)
    return folder / "out" / "report.html"


if __name__ == "__main__":
    for path in write_pages(Path(sys.argv[1])).values():
        print(path)
