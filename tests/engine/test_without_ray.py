"""Nothing needs Ray unless it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys

sys.modules["ray"] = None  # an import is an error, and it is found nowhere
from tckr.cli import main

main()
"""


def call_without_ray(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [("--help",), ("doctor",), ("run", "--preset", "demo", "--until", "prepare")])
def test_the_default_commands_need_no_ray(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    folder = ("--output", str(tmp_path)) if arguments[0] == "run" else ()
    done = call_without_ray(*arguments, *folder)
    assert done.returncode == 0, done.stderr


def test_importing_tckr_imports_no_ray() -> None:
    code = (
        "import sys, tckr, tckr.api, tckr.running; assert not [name for name in sys.modules if name.split('.')[0] == 'ray']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_asking_for_ray_where_it_is_not_installed_says_how_to_install_it(tmp_path: Path) -> None:
    done = call_without_ray("run", "--preset", "demo", "--output", str(tmp_path), "execution.executor=ray")
    assert done.returncode != 0
    assert "pip install 'tckr[ray]'" in " ".join(done.stderr.split())
