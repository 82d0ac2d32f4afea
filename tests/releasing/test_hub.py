"""Uploading: only after the gate, only after yes, and each part to a repository of its kind."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tckr.cli import main
from tckr.errors import UserError
from tckr.releasing.hub import repositories, upload


@dataclass
class Hub:
    """A hub that records all calls, or refuses them."""

    refuses: bool = False
    made: list[tuple] = field(default_factory=list)
    files: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        if self.refuses:
            raise OSError("401 Client Error")
        self.made.append((repo_type, repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id: str, folder_path: Path, repo_type: str) -> None:
        found = {path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*") if path.is_file()}
        self.files[repo_type, repo_id] = found


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder like a release."""
    for name in ("README.md", "data/one.parquet", "student/config.json", "adapter/one.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def test_the_set_is_uploaded_as_a_data_set_and_each_model_as_a_model_all_private(folder):
    hub = Hub()
    assert upload(folder, "owner/name", hub) == ["datasets/owner/name", "owner/name", "owner/name-adapter"]
    assert hub.made == [
        ("dataset", "owner/name", True, True),
        ("model", "owner/name", True, True),
        ("model", "owner/name-adapter", True, True),
    ]
    assert hub.files["model", "owner/name"] == {"config.json"}
    assert {"README.md", "data/one.parquet", "student/config.json"} <= hub.files["dataset", "owner/name"]


def test_a_hub_that_refuses_is_one_sentence(folder):
    with pytest.raises(UserError, match=r"the hub refuses dataset owner/name: 401 Client Error. .*hf auth login"):
        upload(folder, "owner/name", Hub(refuses=True))


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_nothing_is_uploaded_without_a_yes(finished, tmp_path, monkeypatch, answer):
    uploaded = []
    monkeypatch.setattr("tckr.releasing.hub.upload", lambda *arguments: uploaded.append(arguments) or [])
    accepted = ["--accept-risk", "a test", "--by", "somebody"]
    words = ["release", str(finished.folder), "--to", str(tmp_path / "it"), "--license", "mit", "--push", "owner/name"]
    monkeypatch.setattr(sys, "argv", ["tckr", *words, *accepted])
    (tmp_path / "answer").write_text(answer)
    with (tmp_path / "answer").open() as typed, monkeypatch.context() as patched:
        patched.setattr(sys, "stdin", typed)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    assert uploaded == []
    assert (tmp_path / "it" / "SHA256SUMS").is_file(), "the release itself is whole"


def test_what_the_gate_refuses_is_not_uploaded(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tckr.releasing.hub.upload", lambda *arguments: pytest.fail("uploaded"))
    words = ["release", str(finished.folder), "--to", str(tmp_path / "it"), "--license", "mit", "--push", "owner/name"]
    monkeypatch.setattr(sys, "argv", ["tckr", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Upload" not in capsys.readouterr().out


def test_one_model_alone_has_the_name_as_it_is(folder):
    for path in (folder / "student").iterdir():
        path.unlink()
    (folder / "student").rmdir()
    assert [place.name for place in repositories(folder, "owner/name")] == ["owner/name", "owner/name"]
