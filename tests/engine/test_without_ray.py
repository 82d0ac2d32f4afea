"""Nothing needs Ray unless it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WITHOUT = """
import contextlib, io, json, sys

import tckr, tckr.api, tckr.running
from tckr.cli import main

imported = [name for name in sys.modules if name.split(".")[0] == "ray"]
sys.modules["ray"] = None  # an import is an error, and it is found nowhere
ended = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["tckr", *arguments]
    with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            ended.append((end.code or 0, told.getvalue()))
print(json.dumps({"imported": imported, "ended": ended}))
"""
"""One interpreter for all commands: each would need seconds to load the libraries."""

DEFAULT = ["--help", "doctor", "run"]


@pytest.fixture(scope="module")
def without_ray(two_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what TCKR imported, and (exit status, standard error) of each command."""
    run = ["run", "--data", str(two_classes), "--until", "prepare", "--output"]
    one, other = (str(tmp_path_factory.mktemp(name)) for name in ("one", "other"))
    commands = [["--help"], ["doctor"], [*run, one, "execution.workers=1"], [*run, other, "execution.executor=ray"]]
    done = subprocess.run([sys.executable, "-c", WITHOUT, json.dumps(commands)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", DEFAULT)
def test_the_default_commands_need_no_ray(without_ray: dict[str, Any], command: str) -> None:
    status, told = without_ray["ended"][DEFAULT.index(command)]
    assert status == 0, told


def test_importing_tckr_imports_no_ray(without_ray: dict[str, Any]) -> None:
    assert without_ray["imported"] == []


def test_asking_for_ray_where_it_is_not_installed_says_how_to_install_it(without_ray: dict[str, Any]) -> None:
    status, told = without_ray["ended"][-1]
    assert status != 0
    assert "pip install 'tckr[ray]'" in " ".join(told.split())
