"""`tckr sweep` and `tckr reproduce`: plans without computing, and messages for what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_commands import call
from tests.stages.prepare.pictures import write_classes

OVER = ["sweep", "--data", "digits", "--over", "generate.cardinality=0.1,1"]


def test_a_dry_run_counts_steps_by_stage_and_what_is_shared(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, _ = call(monkeypatch, capsys, *OVER, "--over", "seed=0,1", "audit.num_reference_runs=0", "--dry-run")
    assert status == 0
    assert "4 variants" in out
    line = next(line for line in out.splitlines() if "adapt" in line)
    assert line.split("│")[2:5] == [" 2     ", " 0        ", " 2                          "]
    assert "0 of 36 steps are complete; 44 without sharing." in out  # 4 x 11, of which 4 x 2 are shared by seed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sweep", "--data", "digits"], "nothing to sweep over"),
        (["sweep", "--over", "seed=0,1"], "nothing to work on"),
        (["sweep", "nowhere.yaml", "--over", "seed=0,1"], "no config file at nowhere.yaml"),
        (["sweep", "--data", "digits", "--over", "generate.cardinalty=1"], "Did you mean generate.cardinality?"),
        (["sweep", "--data", "digits", "--over", "generate.cardinality=0,1"], "greater than 0"),
        (["sweep", "--data", "digits", "--over", "seed=1,1"], "twice"),
        (["reproduce", "cifar"], "Did you mean CIFAR10?"),
        (["reproduce", "digits", "nonsense"], "expected section.setting=value"),
        (["reproduce", "digits", "execution.name=x"], "choose another folder with --output"),
        (["reproduce", "digits", "generate.cardinalty=3"], "Did you mean generate.cardinality?"),
    ],
)
def test_a_problem_the_user_can_fix_is_one_message_with_status_2(monkeypatch, capsys, tmp_path, arguments, expected):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(monkeypatch, capsys, *arguments)
    assert status == 2
    assert err.startswith("error: ")
    assert expected in err
    assert "Traceback" not in err


def test_a_broken_file_and_one_without_a_sweep_give_different_errors(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("broken.yaml").write_text("prepare: [")
    assert "cannot be read as YAML" in call(monkeypatch, capsys, "sweep", "broken.yaml")[2]
    Path("plain.yaml").write_text("prepare: {source: digits}")
    assert "a list `sweep` in CONFIG" in call(monkeypatch, capsys, "sweep", "plain.yaml")[2]
    Path("mine.yaml").write_text("prepare: {source: digits}\nsweep: [{seed: [0, 1]}, {seed: [2]}]")
    status, out, _ = call(monkeypatch, capsys, "sweep", "mine.yaml", "--dry-run")
    assert (status, "3 variants" in out, "runs/mine" in out) == (0, True, True)
    assert "tckr sweep mine.yaml" in call(monkeypatch, capsys, "run", "mine.yaml")[2]


def test_data_that_is_another_set_is_noticed_before_anything_is_trained(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "data", {"airplane": 8, "truck": 8})
    status, _, err = call(monkeypatch, capsys, "reproduce", "cifar10", "--data", "data", "execution.device=cpu")
    assert status == 2
    assert "has 2 usable classes, first 'airplane'; expected the 10 of CIFAR10" in err
    assert not list((tmp_path / "runs" / "store").glob("caption/*"))


def test_without_a_hub_the_way_out_is_a_local_copy(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no network")))
    status, _, err = call(monkeypatch, capsys, "reproduce", "stl10", "execution.device=cpu")
    assert status == 2
    assert "could not be loaded: no network" in err
    assert "tckr reproduce STL10 --data PATH" in err


def test_help_and_a_plan_of_a_published_set_need_no_hub(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, _ = call(monkeypatch, capsys, "reproduce", "CIFAR10", "--dry-run")
    assert status == 0
    assert "6 variants" in out
    assert "8 variants" in out  # the ablation without the prompts whose texts were not published
