"""The console says what the Student's membership numbers cover."""

from __future__ import annotations

from rich.console import Console

from tckr.cli.summary import _table, waterfall
from tests.stages.report.sample import Sample


def printed(sample: Sample) -> str:
    console = Console(width=200, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(_table(sample.audit()))
    return captured.get()


def test_shared_generator_is_named_beside_auc_and_aop() -> None:
    text = printed(Sample())
    assert "membership AUC (Student: through labels; generator shared)" in text
    assert "AOP (Student: through labels; generator shared)" in text
    assert "AUC without references" in text


def test_unmeasured_audit_prints_accuracy_alone() -> None:
    text = printed(Sample(measured=False))
    assert "accuracy (CAS)" in text
    assert "AUC" not in text


def printed_waterfall(sample: Sample) -> list[str]:
    console = Console(width=100, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(waterfall(sample.audit()))
    return captured.get().splitlines()


def test_the_waterfall_prints_every_surface_with_attack_interval_and_state_below_100_columns() -> None:
    lines = printed_waterfall(Sample())
    rows = [[cell.strip() for cell in line.strip("\u2502").split("\u2502")] for line in lines if line.startswith("\u2502")]
    assert rows == [
        ["captions", "global threshold*", "0.505 [0.475, 0.535]", "no measurable leakage"],
        ["adapter", "global threshold*", "0.569 [0.539, 0.599]", "leaks"],
        ["images", "global threshold*", "0.510 [0.480, 0.540]", "no measurable leakage"],
        ["soft labels", "LiRA online, fixed variance", "0.556 [0.526, 0.586]", "leaks"],
        ["Teacher", "LiRA online, fixed variance", "0.714 [0.684, 0.744]", "leaks"],
        ["Student", "LiRA online, fixed variance", "0.567 [0.537, 0.597]", "leaks"],
    ]
    assert lines[-1].strip() == "* without reference runs: a weak attack, so a lower bound"
    assert max(map(len, lines)) < 100


def test_with_references_everywhere_no_star_is_explained() -> None:
    assert "*" not in "".join(printed_waterfall(Sample(depth="full")))


def test_an_invalid_audit_says_so_above_the_waterfall() -> None:
    assert printed_waterfall(Sample(valid=False))[0].strip() == "Leakage by release surface: audit invalid, do not use"
