"""Every error of the operating system or a library about a full disk becomes one sentence."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from tckr.config import load_settings, settings_text
from tckr.disk import explained, size_text, write_whole
from tckr.engine.measure import measured
from tckr.engine.store import Store
from tckr.errors import UserError
from tests.cli.test_commands import call
from tests.engine.fakes import FakeConfig, step
from tests.engine.test_runner import runner
from tests.full_disk import filled, limited, mounted

MEGABYTE_OF_FLOATS = np.arange(250_000, dtype=np.float32)
WRITERS = {
    "text": lambda path: path.write_text("0" * 10**6),
    "NumPy": lambda path: _save(path),
    "Arrow": lambda path: pq.write_table(pa.table({"a": MEGABYTE_OF_FLOATS}), path),
    "safetensors": lambda path: save_file({"a": torch.from_numpy(MEGABYTE_OF_FLOATS)}, path),
    "torch": lambda path: torch.save(torch.from_numpy(MEGABYTE_OF_FLOATS), path),
    "SQLite": lambda path: _insert(path),
    "tokenizers": lambda path: Tokenizer(models.WordLevel({f"word{i}": i for i in range(50_000)}, "word0")).save(str(path)),
}


def _save(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, MEGABYTE_OF_FLOATS)


def _insert(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in (
            "PRAGMA journal_mode = OFF",
            "CREATE TABLE a (a BLOB)",
            "INSERT INTO a VALUES (zeroblob(1000000))",
        ):
            database.execute(statement)


def test_every_writer_s_own_error_on_a_full_disk_becomes_the_same_sentence(tmp_path):
    with mounted(tmp_path / "disk", "size=100k") as disk:
        for name, write in WRITERS.items():
            with pytest.raises(UserError, match=r"/disk/file cannot be written: the disk of \S+/disk has [\d.]+ (kB|bytes)"):
                write_whole(disk / "file", write)
            assert not list(disk.iterdir()), name


@pytest.mark.parametrize("name", ["text", "Arrow", "safetensors", "tokenizers"])
def test_every_writer_s_own_error_about_a_limit_becomes_the_same_sentence(tmp_path, name):
    with limited(1000), pytest.raises(UserError, match=r"more bytes in one file than this process may write \(1\.0 kB\)"):
        write_whole(tmp_path / "file", WRITERS[name])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"the disk of \S+ has [\d.]+ GB free, but it needs more than that.*command again; it continues"),
        (errno.EDQUOT, r"your quota on the disk of \S+ is used up.*command again; it continues"),
        (errno.EFBIG, r"more bytes in one file than its file system takes.*command again; it continues"),
        (errno.EROFS, r"is mounted read-only.*command again; it continues"),
        (errno.EACCES, r"refuses access to \S+ \(permission denied\).*command again; it continues"),
        (errno.EIO, r"reports an input/output error.*command again; it continues"),
        (errno.ENOLCK, r"its file system does not support file locks or links.*another disk with --output"),
        (errno.EOPNOTSUPP, r"its file system does not support file locks or links.*another disk with --output"),
        (errno.ENOSYS, r"its file system does not support file locks or links.*another disk with --output"),
    ],
)
def test_what_the_system_refuses_a_stage_is_a_sentence(tmp_path, number, said):
    with pytest.raises(UserError, match=said):
        runner(tmp_path).run([step("leaf", FakeConfig(error=number))])


def test_what_the_system_refuses_a_worker_process_is_the_same_sentence(tmp_path):
    leaves = [step(f"leaf.{run}", FakeConfig(error=errno.EDQUOT), stage="leaf", run=run) for run in range(2)]
    with pytest.raises(UserError, match=r"your quota on the disk of \S+ is used up.*command again; it continues"):
        runner(tmp_path, 2).run(leaves)


def test_a_bug_of_a_stage_keeps_its_traceback(tmp_path):
    with pytest.raises(FileNotFoundError):
        runner(tmp_path).run([step("leaf", FakeConfig(error=errno.ENOENT))])


def test_a_full_disk_under_the_log_alone_is_a_sentence(tmp_path):
    running = runner(tmp_path)
    running.log_file.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"log\.jsonl cannot be written.*command again; it continues"):
        running.run([step("leaf")])


def test_the_cause_of_a_failed_step_is_reported_even_if_its_time_cannot_be_recorded(tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk, filled(disk, 0):  # noqa: SIM117
        with pytest.raises(ZeroDivisionError), measured(disk / "usage.json"):
            raise ZeroDivisionError


def test_a_full_disk_under_what_a_command_writes_elsewhere_is_a_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tckr.cli.captions._captions_of_rows", lambda settings: (["a"], ["b" * 10**4]))
    run = tmp_path / "demo"
    settings = load_settings(preset="demo", overrides=[f"execution.output={tmp_path}"])
    run.mkdir()
    (run / "config.yaml").write_text(settings_text(settings))
    with limited(1000):
        status, _, err = call(monkeypatch, capsys, "captions", str(run), "--output", str(tmp_path / "captions.json"))
    assert status == 2
    assert "captions.json cannot be written: it needs more bytes in one file" in err


def test_a_disk_without_a_free_inode_is_distinguished_from_a_full_one(tmp_path):
    said = r"has [\d.]+ MB free but no free inode"
    with mounted(tmp_path / "disk", "size=4m,nr_inodes=5") as disk, pytest.raises(UserError, match=said):
        runner(disk).run([step("leaf")])


def test_a_file_system_that_became_read_only_is_a_sentence(tmp_path):
    with mounted(tmp_path / "disk", "size=4m") as disk:
        runner(disk).run([step("first")])
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(UserError, match="mounted read-only"):
            runner(disk).run([step("second")])


def test_a_run_goes_on_where_it_stopped_when_there_is_room_again(tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        leaf = step("leaf", FakeConfig(journal=str(tmp_path / "journal.txt")))
        with filled(disk, 0), pytest.raises(UserError, match="it continues"):
            runner(disk).run([leaf])
        runner(disk).run([leaf])
        assert Store(disk / "store").has(leaf)


def test_a_sentence_names_the_file_itself_and_not_its_temporary_name(tmp_path):
    with pytest.raises(UserError) as refused, explained(tmp_path / "card.json"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / ".card.json.0123.partial"))
    assert str(refused.value).startswith(f"{tmp_path / 'card.json'} cannot be written")


def load() -> None:
    """Fail as loaders do: the disk was full, and two layers above say something else."""
    try:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise ValueError("an error occurred while generating the dataset") from error
    except ValueError as error:
        raise UserError("the data set could not be loaded; check its name") from error


def test_a_full_disk_is_reported_even_if_a_loader_reports_another_error(tmp_path):
    with pytest.raises(UserError, match="it needs more than that"), explained(tmp_path):
        load()


def test_the_innermost_place_is_the_one_that_is_named(tmp_path):
    with pytest.raises(UserError, match=r"^\S+/inner/file cannot be written"), explained(tmp_path / "outer"):
        write_whole(tmp_path / "inner" / "file", lambda path: load())


def test_a_message_that_a_stage_made_itself_is_not_changed(tmp_path):
    with pytest.raises(UserError, match=r"^mine: No space left on device$"), explained(tmp_path):
        raise UserError("mine: No space left on device")


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(0, "0 bytes"), (999, "999 bytes"), (5_700_000, "5.7 MB"), (40_000, "40.0 kB"), (2e9, "2.0 GB")]
)
def test_sizes_have_a_unit_in_which_they_are_not_zero(num_bytes, text):
    assert size_text(num_bytes) == text
