"""Folders that a run may write: two paths are the same folder if the disk treats them so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tckr.engine.execution import ExecutionConfig
from tckr.engine.folders import Kind
from tckr.engine.places import RESERVED, check_places
from tckr.errors import UserError


def check(output: Path, name: str = "run", source: Path | None = None) -> None:
    check_places(ExecutionConfig(output=output, name=name), Kind.RUN, source)


@pytest.mark.parametrize("name", [*RESERVED, "Store", "SEALED", "Report", "MANIFEST.json"])
def test_names_of_tckrs_own_are_refused_in_any_case(tmp_path, name):
    with pytest.raises(UserError, match=r"used by TCKR itself; give another --name"):
        check(tmp_path, name)


@pytest.mark.parametrize(
    ("source", "output", "name"),
    [
        ("a", ".", "a"),
        ("a", "a", "run"),
        ("a", "a/b/new", "run"),
        ("a/b", ".", "a"),
        ("a/b/file.parquet", ".", "a"),
        ("a", "link", "run"),
        ("link", "a", "run"),
        ("a/../a", ".", "a"),
        ("store/b", ".", "run"),
        ("a", "c/../a/b", "run"),
    ],
)
def test_data_and_what_is_written_never_overlap(tmp_path, monkeypatch, source, output, name):
    for folder in ("a/b", "store/b", "c"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a/b/file.parquet").touch()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for prefix in (Path(), tmp_path):
        with pytest.raises(UserError, match="overlap"):
            check(prefix / output, name, tmp_path / source)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("source", "output", "name"),
    [("a", ".", "ab"), ("a", "ab", "a"), ("a/b", "a", "c"), ("ab", "a", "b"), ("a", "link/../c", "x")],
)
def test_neighbours_are_no_overlap(tmp_path, monkeypatch, source, output, name):
    for folder in ("a/b", "ab"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    check(Path(output), name, tmp_path / source)


def test_a_name_that_differs_in_case_alone_is_refused_and_the_same_name_is_not(tmp_path):
    (tmp_path / "Birds").mkdir()
    with pytest.raises(UserError, match="upper and lower case"):
        check(tmp_path, "birds")
    check(tmp_path, "Birds")
