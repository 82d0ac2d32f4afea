"""`tckr audit --scores`: what it prints, where it writes, what it refuses, and what it costs to start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tckr.artifacts.audit import AuditResult
from tckr.html.numbers import rounded_down
from tests.cli.test_commands import call
from tests.membership.worlds import membership, signals

pytestmark = pytest.mark.usefixtures("few_scorers", "few_redraws")
RESULTS = Path("runs/audit-mine")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return mine.npz in an empty working directory: nine runs of a model that leaks."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "mine.npz")


def write(file: Path, seed: int = 0, offset: float = 0.0) -> Path:
    generator = np.random.default_rng(seed)
    members = membership(generator, 9, 400)
    values = signals(generator, members, 1.5)
    values[0] += offset
    np.savez(file, signals=np.stack([values, values]), surfaces=np.array(["api", "[/weights]"]), members=members)
    return file


def test_a_table_is_judged_printed_and_written(table, monkeypatch, capsys):
    status, out, _ = call(monkeypatch, capsys, "audit", "--scores", str(table), "audit.scorer=lira_online_fixed_variance")
    assert status == 0
    found = AuditResult.read(RESULTS)
    api = found.surfaces["api"]
    assert found.declared.scorer == api.attack == "lira_online_fixed_variance"
    assert "200 members and 200 non-members of the target; 8 reference runs\n" in out
    assert "[/weights]" in out
    for number in (str(api.headline), str(api.leave_one_out[api.attack].mean), rounded_down(api.epsilon_lower_bound.value)):
        assert number in out
    rate = api.tpr[api.attack]["0.01"]
    assert f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]" in out
    assert "not measurable" in out  # TPR at 0.1 % of 200 non-members
    assert "control runs missing: null control, positive control" in out
    scores = pq.read_table(RESULTS / "scores.parquet").filter((pc.field("surface") == "api") & (pc.field("run") == 0))
    assert scores.column("score").null_count == 0


def test_a_failed_control_is_explained_and_ends_with_status_3(table, monkeypatch, capsys):
    status, out, _ = call(monkeypatch, capsys, "audit", "--scores", str(write(table, offset=100.0)))
    assert status == 3
    assert "parity (api, mean): found" in out
    assert "audit invalid: parity (api, [/weights])" in out
    assert not AuditResult.read(RESULTS).valid


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--scores", "nowhere.parquet"], "no file at nowhere.parquet"),
        (["--scores", "mine.csv"], "expected a file ending in .parquet or .npz"),
        (["--scores", "mine.npz", "--data", "digits", "--plan"], "found --scores with --data, --plan"),
        (["--scores", "mine.npz", "generate.cardinality=2"], "expected audit.scorer=..., audit.confidence=..."),
        (["--scores", "mine.npz", "audit.depth=full"], "found 'audit.depth=full' with --scores"),
        (["--scores", "mine.npz", "audit.scorer=luck"], "setting audit.scorer: found 'luck'"),
        (["--scores", "mine.npz", "audit.confidence=2"], "less than or equal to 0.999999"),
        (["--plan", "--data", "digits", "prepare.audit_holdout=0"], "leaves no non-members"),
    ],
)  # fmt: skip
def test_what_cannot_be_audited_is_one_message_with_status_2(table, monkeypatch, capsys, arguments, expected):
    status, _, err = call(monkeypatch, capsys, "audit", *arguments)
    assert status == 2
    assert err.startswith("error: ")
    assert expected in err
    assert not Path("runs").exists()


def test_results_of_another_table_are_not_overwritten_and_those_of_the_same_one_are(table, monkeypatch, capsys):
    assert call(monkeypatch, capsys, "audit", "--scores", "mine.npz")[0] == 0
    assert call(monkeypatch, capsys, "audit", "--scores", "mine.npz", "audit.confidence=0.9")[0] == 0
    assert AuditResult.read(RESULTS).declared.confidence == 0.9
    write(table, seed=1)
    status, _, err = call(monkeypatch, capsys, "audit", "--scores", "mine.npz")
    assert status == 2
    assert "runs/audit-mine holds the audit of another table; give another --output" in err
    assert call(monkeypatch, capsys, "audit", "--scores", "mine.npz", "--output", "other")[0] == 0
    assert AuditResult.read(Path("other")).measured


def test_a_table_is_never_overwritten_nor_an_artifact_changed(table, monkeypatch, capsys):
    assert call(monkeypatch, capsys, "audit", "--scores", "mine.npz")[0] == 0
    again = RESULTS / "scores.parquet"
    before = again.read_bytes()
    status, _, err = call(monkeypatch, capsys, "audit", "--scores", str(again), "--output", str(RESULTS))
    assert (status, again.read_bytes()) == (2, before)
    assert "give another --output" in err
    artifact = Path("store/audit/0123")
    artifact.mkdir(parents=True)
    (artifact / "manifest.json").touch()
    assert call(monkeypatch, capsys, "audit", "--scores", "mine.npz", "--output", str(artifact))[0] == 2
    assert [path.name for path in artifact.iterdir()] == ["manifest.json"]


def test_auditing_a_table_loads_no_torch(table):
    code = f"""
import sys
from tckr.cli import main
sys.argv = ["tckr", "audit", "--scores", {str(table)!r}]
try:
    main()
finally:
    print([name for name in ("torch", "diffusers", "transformers", "kornia") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
