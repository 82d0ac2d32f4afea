"""A touched file costs nothing, a changed one is prepared again; one that kept its size and time is found by `verify`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tckr.cli import main
from tckr.config import Settings, load_settings
from tckr.data.sources import digests
from tckr.data.sources.digests import DIGESTS_NAME, source_digest
from tckr.running import run
from tckr.stages.prepare.config import PrepareConfig
from tests.stages.prepare.pictures import png, write_classes


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget all digests, like a new process."""
    monkeypatch.setattr(digests, "_KNOWN", {})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "data", {"cat": 9, "dog": 9})


def settings(tmp_path: Path) -> Settings:
    return load_settings(
        overrides=[f"prepare.source={tmp_path / 'data'}", f"execution.output={tmp_path / 'runs'}", "prepare.image_size=8"]
    )


def artifact(tmp_path: Path, *, verify: bool = False) -> str:
    return run(settings(tmp_path), until="prepare", verify=verify).artifacts["prepare"].name


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    content_of = digests._content_of
    monkeypatch.setattr(digests, "_content_of", lambda file: (read.append(file), content_of(file))[1])
    return read


def test_a_touched_file_changes_nothing(tmp_path: Path, data: Path) -> None:
    before = artifact(tmp_path)
    os.utime(data / "cat" / "000.png", (1, 1))
    assert artifact(tmp_path) == before
    assert len(list((tmp_path / "runs" / "store").glob("*/card.json"))) <= 1


def test_files_that_kept_their_times_are_not_read_again_by_the_next_process(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = artifact(tmp_path)
    monkeypatch.setattr(digests, "_KNOWN", {})
    read = count_reads(monkeypatch)
    assert artifact(tmp_path) == before
    assert not read
    assert (tmp_path / "runs" / "store" / DIGESTS_NAME).stat().st_mode & 0o777 == 0o600
    os.utime(data / "cat" / "000.png", (1, 1))
    assert artifact(tmp_path) == before
    assert len(read) == 18


def swap(data: Path) -> None:
    """Put other pixels of the same number of bytes into a file, and its old time."""
    file = data / "cat" / "000.png"
    found, size = file.stat(), file.stat().st_size
    other = next(content for seed in range(1000, 3000) if len(content := png(seed)) <= size)
    file.write_bytes(other + b"\0" * (size - len(other)))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_verify_finds_a_picture_that_kept_its_size_and_time(tmp_path: Path, data: Path) -> None:
    before = artifact(tmp_path)
    swap(data)
    assert artifact(tmp_path) == before  # as the docs say
    changed = artifact(tmp_path, verify=True)
    assert changed != before
    assert artifact(tmp_path) == changed  # from now on it is known
    assert artifact(tmp_path, verify=True) == changed


def test_the_command_says_so(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    arguments = ["tckr", "run", f"prepare.source={data}", f"execution.output={tmp_path / 'runs'}", "--until", "prepare"]
    said = []
    for verify in ([], ["--verify"], ["--verify"]):
        monkeypatch.setattr(sys, "argv", [*arguments, *verify])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        said.append("the data changed, although file sizes and times are the same" in capsys.readouterr().err)
        if len(said) == 1:
            swap(data)
    assert said == [False, True, False]


def test_a_changed_picture_is_prepared_again(tmp_path: Path, data: Path) -> None:
    before = artifact(tmp_path)
    (data / "cat" / "000.png").write_bytes(png(5000))
    assert artifact(tmp_path) != before


def test_a_damaged_file_of_digests_says_nothing(tmp_path: Path, data: Path) -> None:
    before = artifact(tmp_path)
    digests._KNOWN.clear()
    (tmp_path / "runs" / "store" / DIGESTS_NAME).write_text("[" * 100_000)
    assert artifact(tmp_path) == before


def test_what_lies_behind_links_counts_where_links_are_followed(tmp_path: Path, data: Path) -> None:
    other = write_classes(tmp_path / "other", {"cat": 1}, first_seed=900) / "cat" / "000.png"
    (data / "cat" / "link.png").symlink_to(other)
    (data / "cat" / "broken.png").symlink_to(tmp_path / "nowhere")
    (data / "cat" / "loop.png").symlink_to(data / "cat" / "loop.png")
    os.mkfifo(data / "cat" / "pipe")  # is not opened
    kept, followed = PrepareConfig(source=str(data)), PrepareConfig(source=str(data), follow_links=True)
    before = [source_digest(config) for config in (kept, followed)]
    other.write_bytes(png(901))
    after = [source_digest(config) for config in (kept, followed)]
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, False]
