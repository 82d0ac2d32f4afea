"""The console says what the Student's membership numbers cover."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import typer
from rich.console import Console

from tckr.artifacts.agreement import agreement_of_counts, write_agreement
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.guarantee import Guarantee, Refutation
from tckr.artifacts.synthetic import Candidates
from tckr.cli.run import end
from tckr.cli.summary import _table, leakage_table, print_summary, summary_json
from tckr.membership.wording import verdict_text
from tckr.membership.worth import classes_line
from tckr.metrics.results import OneRunBound
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


def test_the_share_of_the_largest_class_and_balanced_accuracy_stand_beside_accuracy() -> None:
    rows = [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in printed(Sample()).splitlines()]
    assert ["balanced accuracy", "0.99 [0.98, 1.00]", "0.97 [0.96, 0.99]"] in rows
    assert ["always '0'", "0.10", "0.10"] in rows


def test_a_model_that_knows_only_the_largest_class_is_called_so_first(tmp_path: Path) -> None:
    folder = Sample(largest_share=0.97).write(tmp_path)["audit"]
    lines = summary_lines(RunResult(folder=tmp_path, artifacts={"audit": folder}))
    assert lines[0].startswith(
        "Student is by accuracy not better than always predicting '0', the class of 0.970 of the test images"
    )
    beside = summary_lines(RunResult(folder=tmp_path, artifacts={"audit": Sample().write(tmp_path)["audit"]}))
    assert not any("not better" in line for line in beside)


def test_the_images_own_worth_and_the_agreement_by_class_are_printed(tmp_path: Path) -> None:
    inputs = Sample().write(tmp_path)
    write_agreement(inputs["labels"], {"one": agreement_of_counts(40, 38), "two": agreement_of_counts(40, 10)})
    lines = summary_lines(RunResult(folder=tmp_path, artifacts={"audit": inputs["audit"], "label": inputs["labels"]}))
    assert "Agreement by class: one 0.95, two 0.25" in lines
    assert any(
        line.startswith("Images: the Teacher recognises 0.600 [0.490, 0.700] of 80 synthetic images") for line in lines
    )
    assert any(line.startswith("A recipient who uses only the images") for line in lines)


def test_candidates_and_the_share_that_was_recognised_are_printed(tmp_path: Path) -> None:
    inputs = Sample().write(tmp_path)
    counts = {"a": {"n": 50, "candidates": 60, "recognised": 50}, "b": {"n": 50, "candidates": 140, "recognised": 40}}
    Candidates(redraws=3, classes=counts).write(inputs["synthetic"])
    lines = summary_lines(RunResult(folder=tmp_path, artifacts={"audit": inputs["audit"], "generate": inputs["synthetic"]}))
    expected = "Generated: 200 candidates for 100 images; the Teacher recognised 0.45; 10 images are not recognised after 3 "
    assert any(line == expected + "redraws" for line in lines)


def test_of_many_classes_those_of_lowest_agreement_are_named() -> None:
    line = classes_line({str(number): agreement_of_counts(100, 100 - number) for number in range(40)})
    assert line.startswith("Agreement by class (lowest 12 of 40): 28 0.72, 29 0.71,")


@pytest.mark.parametrize(("sample", "status"), [(Sample(), 0), (Sample(valid=False), 3), (Sample(measured=False), 0)])
def test_a_run_whose_controls_failed_ends_with_status_3(tmp_path: Path, sample: Sample, status: int) -> None:
    result = RunResult(folder=tmp_path, artifacts={"audit": sample.write(tmp_path)["audit"]})
    with pytest.raises(typer.Exit) if status else nullcontext() as ended:
        end(result)
    assert not status or ended.value.exit_code == status


def with_guarantee(sample: Sample, epsilon: float, folder: Path) -> RunResult:
    """Write the audit of a run that claims `epsilon`, of which canaries show that it is at least 1."""
    guarantee = Guarantee(
        epsilon=epsilon, delta=1e-5, unit="record", noise_multiplier=0.7, sampling_rate=0.1, steps=5, clip=1.0,
        count_noise=2.5, noisy_count=600, noise_draws=1, class_names=["a", "b"],
    )  # fmt: skip
    bound = OneRunBound(value=1.0, confidence=0.99, delta=1e-5, num_canaries=200, guesses=100, correct=80, method="")
    found = Refutation(
        claimed=guarantee, bound=bound, refuted=epsilon < 1, surface="student", canaries="natural", most=2.0, confidence=0.95
    )
    sample.write(folder)
    sample.audit().model_copy(update={"guarantee": found}).write(folder / "audit")
    return RunResult(folder=folder, artifacts={"audit": folder / "audit"})


@pytest.mark.parametrize(("epsilon", "measured", "status"), [(0.5, True, 3), (0.5, False, 3), (10.0, True, 0)])
def test_a_run_whose_guarantee_is_refuted_ends_with_status_3_and_says_so(
    tmp_path: Path, epsilon: float, measured: bool, status: int
) -> None:
    result = with_guarantee(Sample(measured=measured), epsilon, tmp_path)
    with pytest.raises(typer.Exit) if status else nullcontext() as ended:
        end(result)
    assert not status or ended.value.exit_code == status
    console = Console(width=200, file=None)
    with console.capture() as captured:
        print_summary(result, console)
    assert ("GUARANTEE REFUTED: epsilon is at least 1 (Student, natural canaries" in captured.get()) == bool(status)
    assert ("not refuted" in captured.get()) != bool(status)
    assert summary_json(result)["guarantee"]["refuted"] == bool(status)


@pytest.mark.parametrize(
    "command", [["run", "--data", "digits"], ["demo"], ["audit", "--data", "digits"], ["report", "--data", "digits"]]
)
def test_every_command_that_comes_to_the_audit_ends_with_status_3(monkeypatch, capsys, tmp_path: Path, command) -> None:
    result = RunResult(folder=tmp_path, artifacts={"audit": Sample(valid=False).write(tmp_path)["audit"]})
    monkeypatch.setattr("tckr.running.run", lambda *given, **options: result)
    monkeypatch.setattr(
        "tckr.cli.report.refuse_unfinished", lambda settings: None
    )  # which this run is not, but for its audit
    assert call(monkeypatch, capsys, *command)[0] == 3


def test_a_run_that_did_not_come_to_its_audit_ends_well(tmp_path: Path) -> None:
    end(RunResult(folder=tmp_path, artifacts={}))


def printed_leakage_table(sample: Sample) -> list[str]:
    console = Console(width=100, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(leakage_table(sample.audit()))
    return captured.get().splitlines()


def test_the_leakage_table_prints_every_surface_with_attack_interval_and_state_below_100_columns() -> None:
    lines = printed_leakage_table(Sample())
    rows = [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in lines if line.startswith("\u2502")]
    assert rows == [
        ["captions", "global threshold*", "0.505 [0.475, 0.535]", "not measured"],
        ["adapter", "global threshold*", "0.569 [0.539, 0.599]", "leaks"],
        ["images", "global threshold*", "0.510 [0.480, 0.540]", "not measured"],
        ["soft labels", "LiRA online, fixed variance", "0.556 [0.526, 0.586]", "leaks"],
        ["Teacher", "LiRA online, fixed variance", "0.714 [0.684, 0.744]", "leaks"],
        ["Student", "LiRA online, fixed variance", "0.567 [0.537, 0.597]", "leaks"],
    ]
    assert lines[-1].strip() == "* no reference runs: weak, without controls; finding no leak proves nothing"
    assert max(map(len, lines)) < 100


def test_with_references_everywhere_no_star_is_explained() -> None:
    assert "*" not in "".join(printed_leakage_table(Sample(depth="full")))


def test_an_invalid_audit_says_so_above_the_leakage_table() -> None:
    assert printed_leakage_table(Sample(valid=False))[0].strip() == "Leakage by release surface: audit invalid, do not use"


@pytest.mark.parametrize("measured", [True, False])
def test_canary_bounds_are_printed_with_and_without_measured_membership(tmp_path: Path, measured: bool) -> None:
    sample = Sample(measured=measured)
    folder = sample.write(tmp_path)["audit"]
    lines = summary_lines(RunResult(folder=tmp_path, artifacts={"audit": folder}))
    rows = [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in lines if "mislabelled" in line]
    assert rows == [
        ["Teacher", "mislabelled", "2.37", "1.37", "239 of 250 guesses right, 250 canaries"],
        ["Student", "mislabelled", "0.43", "", "91 of 124 guesses right, 250 canaries"],
    ]
    remark = "own signal only, because all runs share" if measured else "without reference runs, only the target's signal"
    assert any(remark in line for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "epsilon assumes every canary in or out by a fair coin of its own; nothing of the mechanism." in text
    assert "mu assumes" in text


def test_without_canaries_no_bound_is_printed(tmp_path: Path) -> None:
    folder = Sample(canaries=False).write(tmp_path)["audit"]
    assert "Canaries" not in "".join(summary_lines(RunResult(folder=tmp_path, artifacts={"audit": folder})))


def summary_lines(result: RunResult) -> list[str]:
    console = Console(width=120, record=True, quiet=False, file=None)
    with console.capture() as captured:
        print_summary(result, console)
    return captured.get().splitlines()


def test_the_json_of_a_run_has_its_numbers_verdict_and_places(tmp_path: Path) -> None:
    artifacts = {"audit": Sample().write(tmp_path)["audit"], "report": tmp_path, "validate": tmp_path}
    audit = AuditResult.read(artifacts["audit"])
    found = json.loads(json.dumps(summary_json(RunResult(folder=tmp_path, artifacts=artifacts))))
    cas = audit.surfaces["student"].cas
    assert found["accuracy"]["student"] == {
        "value": cas.value,
        "low": cas.low,
        "high": cas.high,
        "n": cas.n,
        "method": cas.method,
    }
    assert found["verdict"] == {"state": "valid", "text": verdict_text(audit.verdict), "valid": True}
    assert {name: row["state"] for name, row in found["surfaces"].items()} == {
        name: surface.state for name, surface in audit.surfaces.items()
    }
    assert found["report"] == str(tmp_path / "report" / "report.html")
    assert set(found["artifacts"]) == {"audit", "report"}
