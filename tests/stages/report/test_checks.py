"""Controls, surface by surface, what failed first."""

from __future__ import annotations

from tckr.stages.report.checks import PURPOSES, control_groups, purposes, result_of
from tests.stages.report.sample import Sample


def audit_of(**changes):
    return Sample(**{"class_names": ["a", "b"], **changes}).audit()


def test_controls_are_grouped_by_surface_with_failures_first():
    groups = control_groups(audit_of(valid=False))
    assert [(group.name, group.failed, group.noted, group.passed) for group in groups] == [
        ("Teacher", 1, 0, 3),
        ("soft labels", 0, 1, 0),
        ("Student", 0, 1, 3),
    ]
    assert [result_of(control) for control in groups[0].controls] == ["failed", "passed", "passed", "passed"]
    assert sum(len(group.controls) for group in groups) == len(audit_of().controls)


def test_a_control_that_decides_nothing_never_reads_failed():
    results = {(c.name, c.surface): result_of(c) for c in audit_of().controls if not c.passed}
    assert results == {("positive", "soft_labels"): "noted", ("parity", "student"): "not measured"}


def test_every_control_says_what_it_is_for():
    assert list(purposes(audit_of().controls)) == list(PURPOSES)
    assert list(purposes([])) == []
