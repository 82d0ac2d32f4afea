"""Folders of TCKR: only files that the marker proves are replaced, whatever happened in between."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tckr.engine.folders import MARKER, Folder, Kind, link_fill, text_fill
from tckr.errors import UserError


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def folder(tmp_path: Path, told: list[str]) -> Folder:
    return Folder(tmp_path / "run", Kind.RUN, told.append)


def names(folder: Folder) -> set[str]:
    return {str(path.relative_to(folder.path)) for path in folder.path.rglob("*")} - {MARKER}


def test_what_was_put_is_replaced_and_what_is_put_no_more_is_removed(folder, told):
    folder.put({"report/a": text_fill("1"), "report/b": text_fill("1"), "artifacts/x": link_fill("../../store/x")})
    folder.put({"report/a": text_fill("2"), "artifacts/x": link_fill("../y")}, only=("report/", "artifacts/"))
    assert names(folder) == {"report", "report/a", "artifacts", "artifacts/x"}
    assert (folder.path / "report" / "a").read_text() == "2"
    assert (folder.path / "artifacts" / "x").readlink() == Path("../y")
    folder.put({}, only=("report/",))
    assert names(folder) == {"artifacts", "artifacts/x"}
    assert told == []


def test_a_file_that_stays_the_same_is_not_written_again(folder):
    folder.put({"a": text_fill("1")})
    os.utime(folder.path / "a", (1, 1))
    folder.put({"a": text_fill("1")})
    assert (folder.path / "a").stat().st_mtime == 1


@pytest.mark.parametrize("text", ["1, and my remark", ""])
def test_a_file_that_the_user_changed_is_kept_under_another_name(folder, told, text):
    folder.put({"report/page.html": text_fill("1")})
    for number in (1, 2):
        (folder.path / "report" / "page.html").write_text(text)
        folder.put({"report/page.html": text_fill("2")})
        assert (folder.path / "report" / "page.html").read_text() == "2"
        assert (folder.path / "report" / f"page.kept-{number}.html").read_text() == text
        assert f"is kept as {folder.path / 'report' / f'page.kept-{number}.html'}" in told[-1]
    folder.put({}, only=("report/",))
    assert names(folder) == {"report", "report/page.kept-1.html", "report/page.kept-2.html"}


def test_a_changed_file_that_would_be_removed_is_kept_too(folder):
    folder.put({"report/page.html": text_fill("1")})
    (folder.path / "report" / "page.html").write_text("mine")
    folder.put({}, only=("report/",))
    assert (folder.path / "report" / "page.kept-1.html").read_text() == "mine"


def test_files_links_and_folders_of_the_user_stay(folder, tmp_path):
    folder.put({"report/page.html": text_fill("1"), "artifacts/x": link_fill("../1")})
    (folder.path / "report" / "thesis.tex").write_text("mine")
    (folder.path / "artifacts" / "mine").symlink_to(tmp_path)
    (folder.path / "artifacts" / "x").unlink()
    (folder.path / "artifacts" / "x").symlink_to(tmp_path)
    (folder.path / "page.md").mkdir()
    (folder.path / "page.md" / "mine").touch()
    folder.put({"artifacts/x": link_fill("../2"), "page.md": text_fill("2")}, only=("report/", "artifacts/"))
    assert (folder.path / "report" / "thesis.tex").read_text() == "mine"
    assert {"artifacts/mine", "artifacts/x.kept-1", "page.kept-1.md/mine"} <= names(folder)
    assert (folder.path / "artifacts" / "x.kept-1").readlink() == tmp_path


def test_a_link_in_the_place_of_a_file_is_not_written_through(folder, tmp_path):
    folder.put({"config.yaml": text_fill("1")})
    (tmp_path / "mine.yaml").write_text("mine")
    (folder.path / "config.yaml").unlink()
    (folder.path / "config.yaml").symlink_to(tmp_path / "mine.yaml")
    (folder.path / "log.jsonl").symlink_to(tmp_path / "mine.yaml")
    folder.put({"config.yaml": text_fill("2")})
    with folder.log_file().open("a") as file:
        file.write('{"time": 1}')
    assert (tmp_path / "mine.yaml").read_text() == "mine"
    assert (folder.path / "config.yaml").read_text() == "2"


@pytest.mark.parametrize("content", ["my own log", '{"date": 1}\n'])
def test_lines_are_added_to_a_log_of_ours_alone(folder, content):
    folder.make()
    (folder.path / "log.jsonl").write_text(content)
    assert folder.log_file().read_text() == ""
    assert (folder.path / "log.kept-1.jsonl").read_text() == content
    folder.log_file().write_text('{"time": 1.5, "step": "prepare"}\n')
    assert folder.log_file().read_text() == '{"time": 1.5, "step": "prepare"}\n'


@pytest.mark.parametrize("subfolder", ["link", "file"])
def test_a_subfolder_that_is_none_is_refused(folder, tmp_path, subfolder):
    folder.make()
    (tmp_path / "elsewhere").mkdir()
    if subfolder == "link":
        (folder.path / "report").symlink_to(tmp_path / "elsewhere")
    else:
        (folder.path / "report").write_text("mine")
    with pytest.raises(UserError, match="report is a link or a file"):
        folder.put({"report/page.html": text_fill("1")})
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("moment", range(16))
def test_killed_at_any_moment_the_next_call_knows_its_files(folder, told, monkeypatch, moment):
    def put(text: str) -> None:
        folder.put({"a": text_fill(text), "b": text_fill(text)} if text != "3" else {"a": text_fill(text)}, only=("",))

    put("1")
    calls = iter(range(100))
    real = os.replace, Path.replace, Path.unlink

    def maybe_die(function):
        def wrapped(*arguments, **options):
            if next(calls) == moment:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return wrapped

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", maybe_die(real[0]))
        patched.setattr(Path, "replace", maybe_die(real[1]))
        patched.setattr(Path, "unlink", maybe_die(real[2]))
        try:
            put("2")
            put("3")
        except KeyboardInterrupt:
            pass
    with folder.held():
        put("4")
    assert told == []
    assert names(folder) == {"a", "b"}
    assert {(folder.path / name).read_text() for name in "ab"} == {"4"}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.RUN])
def test_a_folder_of_another_kind_is_refused(folder, kind):
    Folder(folder.path, kind).make()
    with pytest.raises(UserError, match=f"folder for another purpose: {kind}, not run"):
        folder.make()


@pytest.mark.parametrize("text", ["", "{}", '{"format": "TCKR folder", "version": 2, "kind": "run"}', '{"kind": "house"}'])
def test_a_marker_that_cannot_be_read_lets_nothing_be_changed(folder, text):
    folder.put({"a": text_fill("1")})
    (folder.path / MARKER).write_text(text)
    if text == "{}":
        (folder.path / MARKER).write_text('{"format": "something else"}')
    with pytest.raises(UserError, match="none is changed"):
        folder.put({"a": text_fill("2")})
    assert (folder.path / "a").read_text() == "1"


@pytest.mark.parametrize("name", ["../mine", "/mine", "report/../../mine", "a/b/c", "..", "", ".", "a//b"])
def test_a_marker_from_elsewhere_names_no_file_outside_of_its_folder(folder, told, name):
    folder.put({"report/a": text_fill("1")})
    mine = folder.path.parent / "mine"
    mine.write_text("1")
    marker = json.loads((folder.path / MARKER).read_text())
    marker["files"] = {name: marker["files"]["report/a"]}
    (folder.path / MARKER).write_text(json.dumps(marker))
    with pytest.raises(UserError, match="none is changed"):
        folder.put({}, only=("",))
    assert mine.read_text() == "1"
    assert told == []


def test_of_what_a_killed_process_left_only_that_is_removed(folder):
    with folder.held():
        pass
    left = [folder.path / f".tckr.{'0' * 32}{end}" for end in (".partial", ".work.partial")]
    mine = [folder.path / ".tckr.notes.partial", folder.path / ".tckr.0123.work.partial"]
    left[0].touch()
    for path in (left[1], *mine):
        path.mkdir()
        (path / "new").touch()
    with folder.held():
        assert not any(path.exists() for path in left)
        assert all((path / "new").exists() for path in mine)


def test_an_empty_folder_of_the_user_is_taken_and_keeps_its_mode(folder):
    folder.path.mkdir()
    folder.path.chmod(0o755)
    folder.put({"a": text_fill("1")})
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder.path / "a").stat().st_mode) == 0o600


def test_a_folder_in_a_store_or_a_run_is_refused(folder):
    folder.make()
    for name in ("inner", "report/inner"):
        with pytest.raises(UserError, match=r"is inside .*, a folder for another purpose: run"):
            Folder(folder.path / name, Kind.SCORES).make()
