"""The console says what the Student's membership numbers cover."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import typer
from rich.console import Console

from tckr.cli.run import end
from tckr.cli.summary import _table, print_summary, waterfall
from tckr.running import RunResult
from tests.cli.test_commands import call
from tests.stages.report.sample import Sample


def printed(sample: Sample) -> str:
    console = Console(width=200, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(_table(sample.audit()))
    return captured.get()


def test_shared_generator_is_named_beside_auc_and_aop() -> None:
    text = printed(Sample())
    assert "membership AUC, mean over runs (Student: through labels; generator shared)" in text
    assert "of this run alone" in text
    assert "AOP (Student: through labels; generator shared)" in text
    assert "AUC without references" in text


def test_unmeasured_audit_prints_accuracy_alone() -> None:
    text = printed(Sample(measured=False))
    assert "accuracy (CAS)" in text
    assert "AUC" not in text


def test_the_paired_comparison_is_one_line(tmp_path: Path) -> None:
    folder = Sample().write(tmp_path)["audit"]
    lines = summary_lines(RunResult(folder=tmp_path, artifacts={"audit": folder}))
    expected = "Student - Teacher: no measurable difference [-0.031, +0.003]; 3 images gained, 8 lost, p = 0.23"
    assert [line for line in lines if "Student - Teacher" in line] == [expected]
    assert len(expected) < 100


@pytest.mark.parametrize(("sample", "status"), [(Sample(), 0), (Sample(valid=False), 3), (Sample(measured=False), 0)])
def test_a_run_whose_controls_failed_ends_with_status_3(tmp_path: Path, sample: Sample, status: int) -> None:
    result = RunResult(folder=tmp_path, artifacts={"audit": sample.write(tmp_path)["audit"]})
    with pytest.raises(typer.Exit) if status else nullcontext() as ended:
        end(result)
    assert not status or ended.value.exit_code == status


@pytest.mark.parametrize(
    "command", [["run", "--data", "digits"], ["demo"], ["audit", "--data", "digits"], ["report", "--data", "digits"]]
)
def test_every_command_that_comes_to_the_audit_ends_with_status_3(monkeypatch, capsys, tmp_path: Path, command) -> None:
    result = RunResult(folder=tmp_path, artifacts={"audit": Sample(valid=False).write(tmp_path)["audit"]})
    monkeypatch.setattr("tckr.running.run", lambda *given: result)
    assert call(monkeypatch, capsys, *command)[0] == 3


def test_a_run_that_did_not_come_to_its_audit_ends_well(tmp_path: Path) -> None:
    end(RunResult(folder=tmp_path, artifacts={}))


def printed_waterfall(sample: Sample) -> list[str]:
    console = Console(width=100, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(waterfall(sample.audit()))
    return captured.get().splitlines()


def test_the_waterfall_prints_every_surface_with_attack_interval_and_state_below_100_columns() -> None:
    lines = printed_waterfall(Sample())
    rows = [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in lines if line.startswith("\u2502")]
    assert rows == [
        ["captions", "global threshold*", "0.505 [0.475, 0.535]", "not measured"],
        ["adapter", "global threshold*", "0.569 [0.539, 0.599]", "leaks"],
        ["images", "global threshold*", "0.510 [0.480, 0.540]", "not measured"],
        ["soft labels", "LiRA online, fixed variance", "0.556 [0.526, 0.586]", "leaks"],
        ["Teacher", "LiRA online, fixed variance", "0.714 [0.684, 0.744]", "leaks"],
        ["Student", "LiRA online, fixed variance", "0.567 [0.537, 0.597]", "leaks"],
    ]
    assert lines[-1].strip() == "* without reference runs: weak and unchecked, so finding nothing says nothing"
    assert max(map(len, lines)) < 100


def test_with_references_everywhere_no_star_is_explained() -> None:
    assert "*" not in "".join(printed_waterfall(Sample(depth="full")))


def test_an_invalid_audit_says_so_above_the_waterfall() -> None:
    assert printed_waterfall(Sample(valid=False))[0].strip() == "Leakage by release surface: audit invalid, do not use"


@pytest.mark.parametrize("measured", [True, False])
def test_canary_bounds_are_printed_with_and_without_measured_membership(tmp_path: Path, measured: bool) -> None:
    sample = Sample(measured=measured)
    folder = sample.write(tmp_path)["audit"]
    lines = summary_lines(RunResult(folder=tmp_path, artifacts={"audit": folder}))
    rows = [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in lines if "mislabelled" in line]
    assert rows == [
        ["Teacher", "mislabelled", "2.38", "239 of 250 guesses right, 250 canaries"],
        ["Student", "mislabelled", "0.44", "91 of 124 guesses right, 250 canaries"],
    ]
    assert any("own signal only" in line for line in lines)


def test_without_canaries_no_bound_is_printed(tmp_path: Path) -> None:
    folder = Sample(canaries=False).write(tmp_path)["audit"]
    assert "Canaries" not in "".join(summary_lines(RunResult(folder=tmp_path, artifacts={"audit": folder})))


def summary_lines(result: RunResult) -> list[str]:
    console = Console(width=120, record=True, quiet=False, file=None)
    with console.capture() as captured:
        print_summary(result, console)
    return captured.get().splitlines()
