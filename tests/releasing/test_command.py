"""`tckr release` on a real run: what it refuses, with which sentence and status, and what the override leaves."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tckr.cli import main
from tckr.config import load_settings
from tckr.running import plan
from tests.releasing.conftest import put
from tests.releasing.test_gate import CLEAN, audit

OVERRIDE = ["--accept-risk", "all of it is public | <already>", "--by", "Data Officer"]
NOT_MEASURED = "membership was not measured: 0 reference runs; at least 2 are needed"


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """Return the folder of a copy of the run, which a test may change."""
    shutil.copytree(finished.folder.parent, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs" / finished.folder.name


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Return what runs `tckr release` into `tmp_path / "release"` and returns exit status, output and errors."""

    def release(folder: Path, *arguments: str) -> tuple[int, str, str]:
        words = ["tckr", "release", str(folder), "--to", str(tmp_path / "release"), "--license", "mit", *arguments]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return release


def judged(folder: Path, states: dict[str, str] | None = None, **declared) -> Path:
    """Give the run in `folder` another audit; return the folder."""
    put(folder / "artifacts" / "audit", "audit.json", audit(states, **declared).model_dump_json())
    return folder


def test_what_the_audit_allows_is_released_and_its_card_says_what_was_measured(copy, call, tmp_path):
    status, out, _ = call(judged(copy), "--what", "images", "student")
    assert status == 0
    assert "read back, all match SHA256SUMS" in out
    card = (tmp_path / "release" / "README.md").read_text()
    assert "Released despite a refusal" not in card
    assert "| images | 0.512 [0.481, 0.543] | no measurable leakage |" in card
    summary = json.loads((tmp_path / "release" / "audit_summary.json").read_text())
    assert {name: found["state"] for name, found in summary["audit"]["surfaces"].items()} == {
        "images": CLEAN,
        "student": CLEAN,
    }
    assert summary["accepted_risk"] is None
    assert pq.read_schema(next((tmp_path / "release" / "data").iterdir())).names == ["image", "label"]


@pytest.mark.parametrize(
    ("changes", "expected", "sentences"),
    [
        (
            {"states": {"images": "leaks"}},
            2,
            ["images: leaks (AUC 0.512", "What may be released: --what student"],
        ),
        (
            {"states": {"images": "not measured"}, "depth": "distill"},
            2,
            ["images: not measured", "audit.depth=full`, about", "on this machine"],
        ),
        ({"verdict": "invalid"}, 3, ["its audit invalid: null (Teacher)", "--open` shows what failed"]),
        (
            {"verdict": "not measured", "num_reference_runs": 0, "depth": "distill"},
            2,
            [NOT_MEASURED, "audit.num_reference_runs=8 audit.depth=full`, about"],
        ),
    ],
)
def test_the_gate_refuses_with_the_reason_and_what_would_answer_it(copy, call, changes, expected, sentences):
    status, out, err = call(judged(copy, **changes))
    assert (status, out) == (expected, "")
    assert err.startswith(f"error: {copy} may not be released: ")
    for sentence in [*sentences, '--accept-risk "reason" --by "name"']:
        assert sentence in err
    assert not (copy.parent.parent / "release").exists()


def test_a_run_without_reference_runs_is_refused_as_it_is(finished, call, tmp_path):
    status, _, err = call(finished.folder)
    assert status == 2
    assert NOT_MEASURED in err
    assert list(tmp_path.iterdir()) == []


def test_the_override_releases_and_stands_in_every_card(copy, call, tmp_path):
    status, out, _ = call(judged(copy, {"images": "leaks"}), "--what", "images", "student", "adapter", *OVERRIDE)
    assert status == 0
    assert "risk accepted  images: leaks" in out
    for card in ("README.md", "student/README.md", "adapter/README.md"):
        text = (tmp_path / "release" / card).read_text()
        assert "**Released despite a refusal.**" in text
        assert "images: leaks (AUC 0.512" in text
        assert "Data Officer accepted the risk: all of it is public | &lt;already&gt;" in text
    accepted = json.loads((tmp_path / "release" / "audit_summary.json").read_text())["accepted_risk"]
    assert (accepted["by"], accepted["reason"]) == ("Data Officer", "all of it is public | <already>")


def test_settings_that_changed_since_the_audit_are_refused(copy, call):
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("confidence: 0.95", "confidence: 0.9"))
    status, _, err = call(judged(copy))
    assert status == 2
    assert "no audit of what would be released: settings, data or TCKR itself changed since it was made" in err
    assert f"`tckr audit {copy}`" in err


def test_a_part_of_other_settings_is_not_released_whoever_accepts_the_risk(copy, call):
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("temperature: 1.0", "temperature: 2.0"))
    status, _, err = call(judged(copy), *OVERRIDE)
    assert status == 2
    assert "labels: " in err
    assert f"changed since it was made. Compute it with `tckr run {copy}`" in err


def test_a_run_that_was_never_audited_is_refused(copy, call):
    (copy / "artifacts" / "audit").unlink()
    settings = load_settings(copy / "config.yaml", options={"execution.output": str(copy.parent)})
    (step,) = (step for step in plan(settings) if step.name == "audit")
    shutil.rmtree(copy.parent / "store" / "audit" / step.fingerprint[:20])
    status, _, err = call(copy)
    assert status == 2
    assert "this run has no audit" in err


@pytest.mark.parametrize("stage", ["generate", "distill", "audit"])
def test_damaged_files_are_refused_whoever_accepts_the_risk(copy, call, stage, tmp_path):
    artifact = judged(copy) / "artifacts" / stage
    file = next(
        path for path in sorted(artifact.resolve().rglob("*.*")) if path.suffix in (".parquet", ".safetensors", ".json")
    )
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))
    status, _, err = call(copy, *OVERRIDE)
    assert status == 2
    assert f"{file}" in err
    assert not (tmp_path / "release").exists()


def test_a_folder_that_is_no_run_is_refused(call, tmp_path):
    status, _, err = call(tmp_path)
    assert status == 2
    assert "is not a run folder" in err
