"""The files of examples/cluster give commands that TCKR has, and are well formed. `.ci/cluster` lints the Dockerfile."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from tckr.cli import app
from tckr.config import load_settings

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in {".sh", ".yaml"})
COMMAND = re.compile(r"tckr run (.*?execution\.threads=\d+)", re.DOTALL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_run_is_one_that_the_command_line_and_the_settings_take(path: Path) -> None:
    (found,) = COMMAND.findall(path.read_text())
    words = shlex.split(found.replace("\\\n", " "))
    command = typer.main.get_command(app).commands["run"]
    given = command.make_context("run", [*words], resilient_parsing=True).params
    assert (str(given["data"]), str(given["output"])) == ("/shared/photos", "/shared/runs")
    execution = load_settings(overrides=[word for word in words if "=" in word]).execution
    assert (execution.executor, execution.ray_address, execution.threads) == ("ray", "auto", 4)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_are_well_formed(path: Path) -> None:
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    assert path.read_text().startswith("#!/usr/bin/env bash\n")


def test_every_pod_of_kubernetes_has_the_shared_disk_and_the_image() -> None:
    spec = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())["spec"]["rayClusterSpec"]
    pods = [spec["headGroupSpec"]["template"]["spec"], *(group["template"]["spec"] for group in spec["workerGroupSpecs"])]
    for pod in pods:
        (container,), (volume,) = pod["containers"], pod["volumes"]
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/shared"}]
        assert container["image"] == pods[0]["containers"][0]["image"]


def test_the_image_is_made_of_files_that_are_there() -> None:
    copied = re.findall(r"^COPY (.*) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert copied
    for name in " ".join(copied).split():
        assert (FOLDER.parents[1] / name).exists(), name


def test_the_page_names_every_file() -> None:
    page = (FOLDER / "README.md").read_text()
    assert {path.name for path in FOLDER.iterdir()} - {"README.md"} <= set(re.findall(r"`([\w.]+)`", page))
