"""On a full disk, every stage ends with a sentence; after space was freed, it continues and gives the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tckr.config import Settings
from tckr.data import images as images_module
from tckr.errors import UserError
from tckr.running import run
from tests.full_disk import filled, limited, mounted
from tests.small_run import small_settings as settings

STAGES = ("prepare", "caption", "adapt", "generate", "teach", "label", "distill", "audit", "report")
TIMED = {"metrics.json", "history.json", "report.json", "report.html"}
"""Files that hold seconds."""


@pytest.fixture
def pictures(two_classes: Path) -> Path:
    return two_classes


@pytest.fixture
def undisturbed(small_run) -> dict[str, dict]:
    """Return the manifest of every stage of a run that always had room."""
    return manifests(small_run[1].artifacts)


def manifests(artifacts: dict[str, Path]) -> dict[str, dict]:
    return {name: json.loads((folder / "manifest.json").read_text()) for name, folder in artifacts.items()}


def contents(manifest: dict) -> dict[str, str]:
    return {name: digest for name, digest in manifest["digests"].items() if Path(name).name not in TIMED}


def run_short_of_room(
    settings: Settings, undisturbed: dict[str, dict], short: Callable[[int], AbstractContextManager[None]], said: str
) -> None:
    """Let every stage meet a lack of room twice, then go on."""
    for stage in STAGES:
        largest = max(undisturbed[stage]["files"].values())
        for left in (0, largest // 2):
            with short(left), pytest.raises(UserError) as refused:
                run(settings, stage)
            assert re.search(said, str(refused.value)), (stage, left, str(refused.value))
            assert str(settings.execution.output) in str(refused.value)
        run(settings, stage)
    found = manifests(run(settings).artifacts)
    assert {name: contents(manifest) for name, manifest in found.items()} == {
        name: contents(manifest) for name, manifest in undisturbed.items()
    }


@pytest.mark.slow
def test_on_a_full_disk_every_stage_says_so_and_goes_on_with_room(pictures, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(images_module, "SPARE_BYTES", 0)
    said = (
        r"cannot be written: the disk of \S+ has [\d.]+ (bytes|kB|MB) free, but it needs .*the same command "
        r"again; it continues"
    )
    with mounted(tmp_path / "disk", "size=24m") as disk:
        run_short_of_room(settings(pictures, disk / "out"), undisturbed, lambda left: filled(disk, left), said)


@pytest.mark.slow
def test_files_that_may_not_be_that_large_are_a_sentence_in_every_stage(pictures, undisturbed, tmp_path):
    said = r"cannot be written: it needs more bytes in one file than this process may write .*command again; it continues"
    run_short_of_room(settings(pictures, tmp_path), undisturbed, limited, said)


def test_too_little_room_for_decoded_images_is_reported_with_the_space_that_must_stay_free(pictures, tmp_path):
    said = r"has 2\d\.\d MB free, but it needs [\d.]+ kB while 1\.1 GB must stay free"
    with mounted(tmp_path / "disk", "size=24m") as disk, pytest.raises(UserError, match=said):
        run(settings(pictures, disk), "adapt")


@pytest.mark.slow
def test_a_process_that_fills_the_disk_ends_with_a_sentence_and_not_with_a_signal(tmp_path):
    with mounted(tmp_path / "disk", "size=5700k") as disk:
        call = [sys.executable, "-c", "from tckr.cli import main; main()", "prepare", "--data", "digits", "--output", disk]
        ended = subprocess.run(call, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert re.search(r"error: \S+ cannot be written: the disk of \S+ has [\d.]+ \w+ free", ended.stderr)
    assert "Traceback" not in ended.stderr
