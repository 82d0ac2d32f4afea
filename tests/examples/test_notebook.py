"""The notebook runs from its first cell to its last with a real small run, and what is stored in it is what it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "examples" / "digits.ipynb"


def kinds_of(notebook: Path) -> list[list[str]]:
    """Return for each code cell what its outputs are: printed text, or the richest form of a value."""
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    return [[min(output["data"]) if "data" in output else output["name"] for output in cell["outputs"]] for cell in cells]


def test_the_stored_notebook_is_valid_and_shows_pictures_and_no_path_of_a_machine():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    for cell in notebook["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        assert set(cell) == wanted | ({"outputs", "execution_count"} if cell["cell_type"] == "code" else set())
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert sum(kinds.count("image/png") for kinds in kinds_of(NOTEBOOK)) == 2
    assert "/home" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_is_stored_in_it(tmp_path):
    subprocess.run([sys.executable, "-m", "tests.notebooks", NOTEBOOK, tmp_path / "done.ipynb"], cwd=ROOT, check=True)
    assert kinds_of(tmp_path / "done.ipynb") == kinds_of(NOTEBOOK)
    printed = (tmp_path / "done.ipynb").read_text(encoding="utf-8")
    for text in (
        "Student (synthetic only)  accuracy 0.",
        "may not be released: membership was not measured",
        "release/README",
    ):
        assert text in printed
