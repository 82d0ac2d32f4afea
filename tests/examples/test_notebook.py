"""The notebook runs from its first cell to its last, and what is stored in it is of the kinds that it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import short_memorizers
from tests.notebooks import main

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "examples" / "digits.ipynb"
SHORTER = {
    "progress=False,": 'progress=False, execution={"workers": 1},',
    'adapt={"steps": 40}': 'adapt={"steps": 2}',
    '"cardinality": 0.3, "steps": 8': '"cardinality": 0.1, "steps": 2',
    'teach={"epochs": 12}': 'teach={"epochs": 2}',
    'distill={"epochs": 20}': 'distill={"epochs": 2}',
}
"""Settings of the first cell -> settings of the test: the same cells run, with worse models."""


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


def shortened(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with the shorter run of `SHORTER`."""
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    source = "".join(cell["source"])
    for asked, shorter in SHORTER.items():
        assert asked in source
        source = source.replace(asked, shorter)
    cell["source"] = source.splitlines(keepends=True)
    return notebook


@pytest.mark.slow
@pytest.mark.usefixtures("few_scorers")
@pytest.mark.filterwarnings("ignore::UserWarning:tckr")  # what the product says of so short a run
def test_the_notebook_runs_and_shows_what_is_stored_in_it(tmp_path):
    short = tmp_path / "short.ipynb"
    short.write_text(json.dumps(shortened(json.loads(NOTEBOOK.read_text(encoding="utf-8")))), encoding="utf-8")
    with short_memorizers():
        main(short, tmp_path / "done.ipynb")
    assert kinds_of(tmp_path / "done.ipynb") == kinds_of(NOTEBOOK)
    printed = (tmp_path / "done.ipynb").read_text(encoding="utf-8")
    for text in (
        "Student (synthetic only)  accuracy 0.",
        "may not be released: membership was not measured",
        "release/README",
    ):
        assert text in printed
