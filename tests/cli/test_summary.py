"""The console says what the Student's membership numbers cover."""

from __future__ import annotations

from rich.console import Console

from tckr.cli.summary import _table
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
