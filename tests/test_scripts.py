"""Scripts beside the package import names that the package has: a move must not break a benchmark that no test runs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for folder in ("benchmarks", "pretraining", "examples") for path in (ROOT / folder).rglob("*.py"))


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import from the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "tckr":
            yield from ((node.module or "", alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "tckr")


def has(module: str, name: str) -> bool:
    """Return whether the package has the module, and in it the name (any name, when it is empty)."""
    path = ROOT / "src" / Path(*module.split("."))
    found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not found.is_file():
        return False
    if not name or (path / name).is_dir() or (path / f"{name}.py").is_file():
        return True
    return name in found.read_text() and name in names_of(ast.parse(found.read_text()))


def names_of(tree: ast.Module) -> set[str]:
    """Return the names that a module defines or imports anywhere outside its functions and classes."""
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    aliases = {
        alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return stored | defined | aliases


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_import_what_the_package_has(script: Path) -> None:
    missing = [f"{module}: {name}" for module, name in imported(ast.parse(script.read_text())) if not has(module, name)]
    assert not missing, f"{script.name} imports what the package does not have: {', '.join(missing)}"
