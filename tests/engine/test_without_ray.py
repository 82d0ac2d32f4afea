"""Nothing needs Ray unless it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import call

IMPORTED = """
import sys

import tckr, tckr.api, tckr.running
from tckr.cli import main

print([name for name in sys.modules if name.split(".")[0] == "ray"])
"""


@pytest.fixture
def _without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an import of Ray be an error, and let it be found nowhere, also by what imported it for other tests."""
    for name in list(sys.modules):
        if name.startswith(("ray.", "tckr.engine.executors.ray")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)


def prepare(data: Path, output: Path) -> list[str]:
    return ["run", "--data", str(data), "--until", "prepare", "--output", str(output)]


@pytest.mark.usefixtures("_without_ray")
def test_the_default_commands_need_no_ray(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["--help"], ["doctor"], [*prepare(two_classes, tmp_path), "execution.workers=1"]):
        status, _, told = call(monkeypatch, capsys, *command)
        assert status == 0, told


def test_importing_tckr_imports_no_ray() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("_without_ray")
def test_asking_for_ray_where_it_is_not_installed_says_how_to_install_it(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, told = call(monkeypatch, capsys, *prepare(two_classes, tmp_path), "execution.executor=ray")
    assert status != 0
    assert "pip install 'tckr[ray]'" in " ".join(told.split())
