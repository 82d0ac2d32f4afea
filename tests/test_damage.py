"""A flipped bit in any file of a run is found by status, run and audit, which name the file and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tckr.errors import UserError
from tckr.running import run
from tests.cli.test_commands import call

FILES = {
    "membership": ("prepare", "membership.npy"),
    "pool": ("prepare", "pool/part-*.parquet"),
    "card": ("prepare", "card.json"),
    "captions": ("caption", "*.parquet"),
    "adapter": ("adapt", "*.safetensors"),
    "synthetic images": ("generate", "data/*.parquet"),
    "Teacher": ("teach", "**/*.safetensors"),
    "soft labels": ("label", "soft_labels.parquet"),
    "Student": ("distill", "model/*.safetensors"),
    "score table": ("audit", "*.parquet"),
    "verdict": ("audit", "audit.json"),
    "report": ("report", "report.html"),
    "manifest": ("distill", "manifest.json"),
}


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """Flip one bit in the middle of a file, and put the file back at the end of the block."""
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    yield
    path.write_bytes(data)


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_named_by_status_run_and_audit(small_run, monkeypatch, capsys):
    chosen, result = small_run
    folder = str(result.folder)
    for name, (step, pattern) in FILES.items():
        path = sorted(result.artifacts[step].glob(pattern))[0]
        with flipped(path):
            with pytest.raises(UserError) as refused:
                run(chosen)
            said = [str(refused.value)]
            for command in (["status", folder], ["run", folder], ["audit", folder], ["run", folder, "--dry-run"]):
                if name == "report" and command[0] == "audit":
                    continue  # which does not read it
                status, out, err = call(monkeypatch, capsys, *command)
                assert status == 2, (name, command)
                said.append(out + err)
        for text in said:
            assert str(path) in text, (name, text)
            assert f"Restore the file, or delete {result.artifacts[step]}; the same command" in text
    assert call(monkeypatch, capsys, "status", folder)[0] == 0


def test_a_damaged_report_is_not_shown_in_the_run_s_folder(small_run):
    chosen, result = small_run
    with flipped(result.artifacts["report"] / "report.json"):
        run(chosen, "audit")
        assert not (result.folder / "report").exists()
    run(chosen)
    assert (result.folder / "report" / "report.json").is_file()


def test_captions_that_were_damaged_are_not_written_out(small_run, monkeypatch, capsys, tmp_path):
    _, result = small_run
    path = next(result.artifacts["caption"].glob("*.parquet"))
    with flipped(path):
        status, _, err = call(monkeypatch, capsys, "captions", str(result.folder), "--output", str(tmp_path / "c.json"))
    assert status == 2
    assert str(path) in err
