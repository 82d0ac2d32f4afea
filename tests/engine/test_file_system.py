"""A file system that cannot hold a store is reported before anything is computed, with what it lacks."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tckr import running
from tckr.config import load_settings
from tckr.engine.file_system import NEEDED, WANTED, lacks, require_sound
from tckr.errors import UserError
from tests.cli.test_commands import call
from tests.engine.fakes import step


def test_this_disk_has_what_a_store_needs_and_nothing_stays_of_the_look(tmp_path):
    assert lacks(tmp_path / "not" / "there") == []
    assert lacks(tmp_path, WANTED) == []
    assert list(tmp_path.iterdir()) == []


def destroy(path: Path, target: Path) -> Path:
    """Rename as an object store does: file by file, over what is there."""
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
        shutil.rmtree(path)
    else:
        shutil.copy(path, target)
    return target


def test_a_disk_whose_renames_destroy_the_first_artifact_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rename", destroy)
    with pytest.raises(UserError, match=r'lacks "a folder is not renamed over one with files" .*doctor --store'):
        require_sound(tmp_path)


def test_a_disk_without_links_is_refused(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert [found.text for found in lacks(tmp_path)] == ["a link is not made over a file"]


def test_doctor_lists_what_holds_and_exits_with_2_where_no_store_can_lie(tmp_path, monkeypatch, capsys):
    status, out, _ = call(monkeypatch, capsys, "doctor", "--store", str(tmp_path))
    assert status == 0
    assert all(f"yes  {found.text}" in out for found in (*NEEDED, *WANTED))
    monkeypatch.setattr(os, "utime", lambda *_: None)
    status, out, _ = call(monkeypatch, capsys, "doctor", "--store", str(tmp_path))
    assert status == 2
    assert "no  files have the time of their last change; a running run would be taken for dead" in out
    assert "this folder cannot hold a store" in out


def test_doctor_names_the_folder_that_it_tested_and_takes_no_file_for_one(tmp_path, monkeypatch, capsys):
    status, out, _ = call(monkeypatch, capsys, "doctor", "--store", str(tmp_path))
    assert (status, "does not exist" in out) == (0, False)
    missing = tmp_path / "not" / "there"
    status, out, _ = call(monkeypatch, capsys, "doctor", "--store", str(missing))
    assert status == 0
    assert f"{missing} does not exist; tested is {tmp_path}, where it would be made" in out
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to(tmp_path / "nowhere")
    for blocked, place in ((file, file), (file, file / "below"), (link, link / "below")):
        status, _, err = call(monkeypatch, capsys, "doctor", "--store", str(place))
        assert status != 0
        assert f"--store {place}: {blocked} is not a folder; give one" in " ".join(err.split())


def test_a_run_looks_before_it_computes_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "pipeline", lambda config, secret: [step("prepare")])
    monkeypatch.setattr(Path, "rename", destroy)
    settings = load_settings(overrides=[f"execution.output={tmp_path}", "execution.device=cpu"])
    with pytest.raises(UserError, match="cannot hold a store"):
        running.run(settings)
    assert not list((tmp_path / "store").glob("prepare*"))
