"""Execute the cells of a notebook without Jupyter, and write it with what they print and show.

`python -m tests.notebooks examples/digits.ipynb` writes its stored outputs again.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


def execute(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with the outputs of its code cells, run one after another in one namespace."""
    names: dict[str, Any] = {"__name__": "notebook"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        cell |= {"execution_count": number, "outputs": outputs_of("".join(cell["source"]), names, number)}
    return notebook


def outputs_of(source: str, names: dict[str, Any], number: int) -> list[Cell]:
    """Run a cell; return what it prints, and its last line if that is an expression."""
    tree, printed = ast.parse(source), io.StringIO()
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), names)
        shown = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names) if last else None
    text = printed.getvalue()
    stream = [{"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}] if text else []
    return [*stream, *([] if shown is None else [result_of(shown, number)])]


def result_of(shown: Any, number: int) -> Cell:
    """Return a value as Jupyter stores it: pictures as PNG, everything else as text."""
    data: dict[str, Any] = {"text/plain": repr(shown).splitlines(keepends=True)}
    if hasattr(shown, "_repr_png_"):
        data = {"image/png": base64.b64encode(shown._repr_png_()).decode(), "text/plain": [f"<{type(shown).__name__}>"]}
    return {"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}


def main(source: Path, target: Path) -> None:
    """Execute `source` in an empty folder and write `target`."""
    notebook = json.loads(source.read_text(encoding="utf-8"))
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            done = execute(notebook)
        finally:
            os.chdir(here)
    target.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[-1]).resolve())
