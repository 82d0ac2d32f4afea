"""Fidelity, calibration and the paired test: every number beside its yardstick, in a sentence that repeats the intervals."""

from __future__ import annotations

import re

import pytest

from tckr.html.numbers import p_text
from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.sharing.allowed_models import UNNAMED
from tckr.stages.report.utility import fidelity_summary
from tests.stages.report.conftest import make_report
from tests.stages.report.sample import Sample


def changed(**scores):
    """Return the sample's audit with other scores of both sides."""
    audit = Sample().audit()
    sides = {
        side: getattr(audit.fidelity, side).model_copy(update={name: value[index] for name, value in scores.items()})
        for index, side in enumerate(("synthetic", "holdout"))
    }
    return audit.model_copy(update={"fidelity": audit.fidelity.model_copy(update=sides)})


def at(value, half=0.01):
    return Estimate(value, value - half, value + half, 50, "t")


def test_fidelity_stands_beside_the_hold_out_and_says_which_way_it_differs():
    found = fidelity_summary(Sample().audit())
    assert found.num_images == 647
    assert {row.key: row.reading for row in found.rows} == {
        "fid": "short of real images",
        "kid": "no difference measured",
        "precision": "closer than real images",
        "recall": "no difference measured",
        "density": "no difference measured",
        "coverage": "no difference measured",
    }
    assert found.rows[0].synthetic.text == "9.5 [9, 10]"
    assert found.sentence == (
        "The synthetic images fall short of real images by FID and are closer to the members than real images are by "
        "Precision, as copies would be."
    )


def test_images_without_a_measured_difference_are_not_called_alike():
    assert fidelity_summary(changed(fid=(at(3), at(3)), precision=(at(0.9), at(0.9)))).sentence.startswith(
        "No measure shows a difference"
    )


def test_without_a_hold_out_nothing_is_compared():
    audit = Sample().audit()
    nothing = {name: NotMeasurable("no hold-out") for name in type(audit.fidelity.holdout).model_fields}
    bare = audit.fidelity.model_copy(update={"holdout": type(audit.fidelity.holdout)(**nothing)})
    found = fidelity_summary(audit.model_copy(update={"fidelity": bare}))
    assert {row.reading for row in found.rows} == {"not compared"}
    assert found.sentence == "Without hold-out records there is no comparison with real images."
    assert found.rows[0].holdout.reason == "no hold-out"


def test_audits_of_given_tables_have_none():
    assert fidelity_summary(Sample().audit().model_copy(update={"fidelity": None})) is None


@pytest.mark.parametrize("measured", [True, False])
def test_the_page_shows_fidelity_calibration_and_the_paired_test_with_and_without_membership(tmp_path, measured):
    made = make_report(tmp_path, Sample(measured=measured), include_private=True)
    rows = re.findall(r'<tr data-fidelity="([a-z]+)">', made.html)
    assert rows == ["fid", "kid", "precision", "recall", "density", "coverage"]
    assert (
        "only the Student got 3 right, only the Teacher 8, both 349, neither 0; exact McNemar test, p = 0.23." in made.html
    )
    assert made.data["paired"]["p_value"] == made.data["audit"]["paired"]["p_value"] == 0.2265625
    assert [row["key"] for row in made.data["calibration"]] == ["ece", "brier", "nll"]
    assert '<h3 id="calibration">' in made.html
    assert all(row["difference"]["value"] == -0.0625 for row in made.data["classes"])


def test_what_may_be_shared_of_the_paired_test_are_its_size_and_a_rounded_p_value(tmp_path):
    made = make_report(tmp_path, Sample())
    assert "Student and Teacher on the same 360 test images: exact McNemar test, p = 0.2." in made.html
    assert "only the Student got" not in made.html
    assert made.data["paired"]["p_value"] == made.data["audit"]["paired"]["p_value"] == 0.2
    counts = ("both_right", "only_student", "only_teacher", "both_wrong")
    assert [made.data["audit"]["paired"][count] for count in counts] == [None] * 4


@pytest.mark.parametrize("model", ["/home/ann/models/net", "ann-smith/net@main", "models/net"])
def test_the_name_of_a_feature_model_that_may_be_private_is_not_shown(tmp_path, model):
    made = make_report(tmp_path, Sample(fidelity_features=model))
    assert made.data["fidelity"]["features"] == made.data["audit"]["fidelity"]["features"] == UNNAMED
    assert not re.search(r"\bann\b|\bnet\b", made.html)


def test_p_values_are_printed_short():
    assert [p_text(value) for value in (1.0, 0.2265625, 0.04, 0.0001)] == ["= 1", "= 0.23", "= 0.04", "< 0.001"]
