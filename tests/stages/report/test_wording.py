"""The sentences say what the numbers allow and no more."""

from __future__ import annotations

import pytest

from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.results import Differences
from tckr.stages.report.numbers import difference_number, duration, measured_number, megabytes, percent
from tckr.stages.report.wording import GLOSSARY, scorer_name, verdict_of
from tests.stages.report.sample import DECLARED, Sample


def audit_with(**changes):
    return Sample(class_names=["a", "b"]).audit().model_copy(update=changes)


def differences(cas, auc):
    return Differences(cas=Estimate(*cas, 10, ""), auc=Estimate(*auc, 10, ""))


@pytest.mark.parametrize(
    ("cas", "auc", "headline"),
    [
        (
            (-0.01, -0.02, 0.0),
            (-0.1, -0.2, 0.05),
            "No measurable difference in membership leakage through labels, no measurable difference in accuracy",
        ),
        ((-0.05, -0.06, -0.04), (-0.1, -0.12, -0.08), "Less membership leakage through labels, lower accuracy"),
        ((0.05, 0.04, 0.06), (0.1, 0.08, 0.12), "More membership leakage through labels, higher accuracy"),
    ],
)
def test_the_headline_follows_the_intervals(cas, auc, headline):
    assert verdict_of(audit_with(differences=differences(cas, auc))).headline == headline


def test_an_interval_around_guessing_is_no_proof_of_safety():
    audit = audit_with()
    student = audit.surfaces["student"].model_copy(update={"auc": {DECLARED: Estimate(0.51, 0.48, 0.54, 100, "")}})
    safe = audit.model_copy(update={"surfaces": audit.surfaces | {"student": student}})
    assert verdict_of(safe).sentences[-1].endswith("this is a measurement, not a proof.")
    assert verdict_of(audit).sentences[-1] == "The Student still leaks: its interval lies above 0.5."


def test_an_invalid_audit_says_nothing_about_leakage():
    verdict = verdict_of(Sample(valid=False, class_names=["a", "b"]).audit())
    assert verdict.state == "invalid"
    assert not any("leak" in sentence or "AUC" in sentence.split("expected")[0] for sentence in verdict.sentences)


def test_every_glossary_entry_says_what_the_number_is_not():
    assert all(" not " in meaning or "cannot" in meaning for meaning in GLOSSARY.values())


@pytest.mark.parametrize(
    ("scorer", "name"),
    [
        ("global_threshold", "global threshold"),
        ("lira_online_fixed_variance", "LiRA online, fixed variance"),
        ("rmia_offline", "RMIA offline"),
        ("accuracy", "accuracy"),
    ],
)
def test_scorers_have_readable_names(scorer, name):
    assert scorer_name(scorer) == name


def test_numbers_are_printed_with_their_interval_or_reason():
    assert measured_number(Estimate(0.6123, 0.5811, 0.6444, 9, "m")).text == "0.612 [0.581, 0.644]"
    assert measured_number(NotMeasurable("40 non-members", 40)).reason == "40 non-members"
    assert measured_number(None, absent="why").reason == "why"
    assert difference_number(None) is None
    assert [percent(value) for value in (0.0, 0.004, 0.063, 1.0)] == ["0.0 %", "0.40 %", "6.3 %", "100.0 %"]


def test_durations_and_sizes_read_at_a_glance():
    assert [duration(seconds) for seconds in (0.44, 12, 59.6, 185, 8040)] == [
        "0.4 s",
        "12 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 14 min",
    ]
    assert [megabytes(value) for value in (0.012, 1.234, 310, 1720)] == ["12 kB", "1.2 MB", "310 MB", "1.7 GB"]
