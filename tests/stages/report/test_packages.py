"""Packages: the state that the audit gave them, and why."""

from __future__ import annotations

from tckr.membership.packages import PACKAGES
from tckr.stages.report.packages import package_rows
from tests.stages.report.sample import Sample


def audit_of(**changes):
    return Sample(**{"class_names": ["a", "b"], **changes}).audit()


def test_packages_repeat_the_audits_state_and_reason():
    rows = {row.name: row for row in package_rows(audit_of(canaries=False))}
    assert rows["Student"].state == "leaks"
    assert rows["Student"].reason == "Student: AUC 0.567 [0.537, 0.597] (p = 0.001); epsilon at least 0.07 (p = 0.001)"
    assert rows["Student"].exposes == {"student": "leaks"}
    assert rows["synthetic images"].state == "not measured"
    assert rows["synthetic images"].reason == (
        "images: attacked without references only, AUC 0.510 [0.480, 0.540]; an AUC of 0.54 would be found in 80 of 100 "
        "audits"
    )
    assert rows["images, soft labels and prompts"].exposes == {
        "images": "not measured",
        "soft_labels": "leaks",
        "captions": "not measured",
    }


def test_an_excess_of_copies_is_in_the_reason_of_every_package_that_has_the_images():
    copied = {row.name for row in package_rows(audit_of(copy_excess=0.02)) if "excess of near-copies 0.020" in row.reason}
    assert copied == {name for name, exposes in PACKAGES.items() if "images" in exposes}
    assert len(copied) == 5
    assert not any(row.also for row in package_rows(audit_of()))
    unknown = package_rows(audit_of().model_copy(update={"copies": None}))
    assert [row.also for row in unknown if row.name == "synthetic images"] == ["near-copies of members were not looked for"]
