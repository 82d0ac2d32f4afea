"""One command measures on a GPU what it can in the time it has; no part takes the others' results with it."""

from __future__ import annotations

import json
from pathlib import Path

import benchmarks.gpu as gpu
import pytest
from benchmarks.gpu import PARTS, Part, run_parts

GOOD = """
import argparse, json
parser = argparse.ArgumentParser()
for name in ("--json", "--seconds"): parser.add_argument(name)
row = {"way": "ours", "speed": 12.0, "unit": "images/s", "to_plain": [4.0, 3.5, 4.2], "of_peak": 0.4, "busy": None}
file = open(parser.parse_args().json, "w")
json.dump({"rows": [row | {"memory_gb": 1.5, "note": ""}]}, file); file.close()
"""
BAD = "print('before'); raise ValueError('no such kernel')"
ENDLESS = (
    GOOD
    + """
import subprocess, sys, time, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("child").write_text(str(child.pid))
time.sleep(60)
"""
)


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Three benchmarks: one that finds something, one that fails, one that finds something and never ends."""
    for name, text in (("good.py", GOOD), ("bad.py", BAD), ("endless.py", ENDLESS)):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(gpu, "BENCHMARKS", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def part(name: str, *, seconds: int = 30, least: int = 1) -> Part:
    return Part(
        name=name, seconds=seconds, least=least, script=f"{name}.py", gpu="", goals={"to_plain": 3.0, "of_peak": 0.5}
    )


def test_a_part_that_fails_or_never_ends_leaves_the_others_their_results_and_no_process_behind(scripts):
    parts = [part("bad"), part("endless", seconds=3), part("good")]
    results = run_parts(parts, tiny=False, device="cuda", seconds=60, output=scripts)
    assert [results[one.name]["status"] for one in parts] == ["failed", "stopped", "done"]
    assert results["bad"]["last_lines"][-1] == "ValueError: no such kernel"
    assert results["endless"]["rows"] == results["good"]["rows"] != []
    assert json.loads((scripts / "gpu.json").read_text())["parts"] == results
    assert "no such kernel" in (scripts / "gpu.log").read_text()
    child = Path("/proc") / (scripts / "child").read_text()
    assert not child.exists() or "Z" in (child / "stat").read_text().rsplit(")", 1)[1]


def test_a_part_without_time_left_is_skipped_and_a_shorter_one_after_it_is_not(scripts):
    results = run_parts(
        [part("bad", least=100), part("good", least=2)], tiny=False, device="cuda", seconds=50, output=scripts
    )
    assert [result["status"] for result in results.values()] == ["skipped", "done"]


def test_the_table_says_which_goals_were_reached(scripts):
    run_parts([part("good")], tiny=False, device="cuda", seconds=50, output=scripts)
    table = (scripts / "gpu.md").read_text()
    assert "| good | ours | 12 images/s | 4.00 (3.50 to 4.20) | 40% |  | 1.5 GB |  |" in table
    assert "to_plain >= 3: reached, 4 (ours); of_peak >= 0.5: missed, 0.4 (ours)" in table


def test_parts_are_distinguished_by_name_and_each_has_time_to_begin():
    assert len({one.name for one in PARTS}) == len(PARTS)
    assert all(one.least <= one.seconds and (Path(gpu.__file__).parent / one.script).exists() for one in PARTS)
