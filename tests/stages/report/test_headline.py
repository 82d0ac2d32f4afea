"""The sentences say what the numbers allow and no more."""

from __future__ import annotations

import pytest

from tckr.artifacts.agreement import agreement_of_counts
from tckr.artifacts.audit import Differences, Verdict, VerdictReason
from tckr.membership.coverage import coverage_of
from tckr.membership.rows import surface_rows
from tckr.metrics.estimate import Estimate
from tckr.stages.report.glossary import GLOSSARY
from tckr.stages.report.headline import headline_of
from tckr.stages.report.measures import headline_rows
from tests.stages.report.sample import Sample
from tests.stages.report.sample_audit import DECLARED


def audit_with(**changes):
    return Sample(class_names=["a", "b"]).audit().model_copy(update=changes)


def differences(cas, auc):
    return Differences(cas=Estimate(*cas, 360, ""), auc=Estimate(*auc, 10, ""))


@pytest.mark.parametrize(
    ("cas", "auc", "headline"),
    [
        (
            (-0.01, -0.02, 0.0),
            (-0.02, -0.06, 0.03),
            "No measurable difference in membership leakage through labels, no measurable difference in accuracy",
        ),
        (
            (-0.188, -0.544, 0.321),
            (-0.1, -0.2, 0.05),
            "Too few records to tell whether membership leakage through labels differs, too few test images to tell whether "
            "accuracy differs",
        ),
        ((-0.05, -0.06, -0.04), (-0.1, -0.12, -0.08), "Less membership leakage through labels, lower accuracy"),
        ((0.05, 0.04, 0.06), (0.1, 0.08, 0.12), "More membership leakage through labels, higher accuracy"),
    ],
)
def test_the_headline_follows_the_intervals(cas, auc, headline):
    assert headline_of(audit_with(differences=differences(cas, auc))).headline == headline


@pytest.mark.parametrize("state", [{}, {"valid": False}, {"measured": False}])
def test_that_a_model_knows_only_the_largest_class_comes_before_every_sentence(state):
    audit = Sample(class_names=["a", "b"], largest_share=0.97, **state).audit()
    verdict = headline_of(audit)
    assert verdict.sentences[0] == (
        "Student is by accuracy not better than always predicting 'a', the class of 0.970 of the test images (balanced "
        "accuracy 0.97 [0.96, 0.99]; 0.500 is guessing)."
    )
    if audit.valid:
        expected = "Student is by accuracy not better than always predicting 'a', less membership leakage through labels"
        assert verdict.headline == expected
    if not audit.measured:
        assert verdict.headline == "Student is by accuracy not better than always predicting 'a', privacy not measured"


def test_the_verdict_speaks_of_the_images_own_worth():
    agreement = {"a": agreement_of_counts(100, 90), "b": agreement_of_counts(100, 80)}
    verdict = headline_of(audit_with(), agreement=agreement)
    assert verdict.sentences[1:3] == [
        "Images: the Teacher recognises 0.850 [0.794, 0.893] of 200 synthetic images as the class they were "
        "generated for (0.500 is guessing).",
        "A recipient who uses only the images and the classes of their prompts, without the Teacher's "
        "labels, gets a Student with accuracy 0.846 [0.806, 0.886] (balanced 0.844 [0.799, 0.889]); minus "
        "the Teacher's: \u22120.146 [\u22120.186, \u22120.106].",
    ]
    assert "show their class" not in verdict.headline


def test_images_that_teach_no_more_than_which_class_is_frequent_are_called_so():
    audit = audit_with()
    level = audit.images_alone.model_copy(update={"over_largest": Estimate(-0.02, -0.06, 0.02, 360, "")})
    verdict = headline_of(audit.model_copy(update={"images_alone": level}))
    assert verdict.sentences[1].endswith("By accuracy this is not better than always predicting 'a'.")
    assert not any("By accuracy this" in sentence for sentence in headline_of(audit).sentences)


def test_images_that_do_not_show_their_class_are_in_the_headline():
    agreement = {"a": agreement_of_counts(100, 90), "b": agreement_of_counts(100, 20)}
    verdict = headline_of(audit_with(images_alone=None), agreement=agreement)
    assert verdict.headline.startswith("Too few images show their class, less membership leakage")
    assert verdict.sentences[1].endswith("(0.500 is guessing): too few show their class.")
    assert not any("uses only the images" in sentence for sentence in verdict.sentences)


def test_a_model_that_beats_the_largest_class_has_no_remark_about_it():
    assert not any("always predicting" in sentence for sentence in headline_of(audit_with()).sentences)


def test_an_interval_around_guessing_is_no_proof_of_safety():
    audit = audit_with()
    update = {"auc": {DECLARED: Estimate(0.51, 0.48, 0.54, 100, "")}, "state": "no measurable leakage"}
    student = audit.surfaces["student"].model_copy(update=update)
    safe = audit.model_copy(update={"surfaces": audit.surfaces | {"student": student}})
    proof = "this is a measurement, not a proof."
    assert any(sentence.endswith(proof) for sentence in headline_of(safe).sentences)
    assert not any(sentence.endswith(proof) for sentence in headline_of(audit).sentences)
    found = ["AUC 0.567 [0.537, 0.597]", "epsilon at least 0.07", "epsilon at least 0.4 by canaries"]
    leaks = "; ".join(f"{each} (p = 0.001)" for each in found)
    assert f"The Student still leaks: {leaks}." in headline_of(audit).sentences


def test_the_verdict_names_every_surface_that_leaks_and_every_silent_one():
    assert headline_of(audit_with()).sentences[-5:] == [
        "Of all parts that could be released, adapter, soft labels, Teacher and Student measurably leak membership.",
        "Not measured: captions and images; their leakage is unknown.",
        "Canaries: epsilon cannot be below 2.37 (Teacher, mislabelled canaries; the largest bound of several, chosen "
        "after the fact).",
        "Copies: no measurable excess of near-copies of members, +0.40 % [\u22120.50 %, +1.30 %].",
        "Attacked only without references, where finding nothing counts as not measured: captions, adapter, images.",
    ]


def test_only_surfaces_with_references_are_called_silent():
    sentences = headline_of(Sample(class_names=["a", "b"], depth="full").audit()).sentences
    assert "No leakage was measured on captions and images: a measurement, not a guarantee." in sentences
    assert not any("measured: " in sentence for sentence in sentences), "every attack at depth full has references"
    assert not any("No leakage was measured" in sentence for sentence in headline_of(audit_with()).sentences)


@pytest.mark.parametrize(("depth", "gaps"), [("teacher", True), ("distill", True), ("full", False)])
def test_only_a_shared_generator_limits_leakage_to_the_labels(depth, gaps):
    audit = Sample(class_names=["a", "b"], depth=depth).audit()
    verdict = headline_of(audit)
    limited = any("through the labels only" in sentence for sentence in verdict.sentences)
    assert limited == (depth == "distill")
    assert ("through labels" in verdict.headline) == (depth == "distill")
    assert any(line.startswith(("Not covered, because shared", "Not measured")) for line in coverage_of(audit)) == gaps


def test_many_failed_controls_are_counted_at_the_top_not_listed():
    failed = [control.model_copy(update={"passed": False, "decides": True}) for control in audit_with().controls]
    reason = VerdictReason(kind="control_failed", control="null", surfaces=["soft_labels"])
    audit = audit_with(verdict=Verdict(state="invalid", reasons=[reason]), controls=failed)
    verdict = headline_of(audit)
    assert verdict.headline == "Audit invalid: null (soft labels)"
    assert verdict.sentences[6] == f"{len(failed) - 5} more failed, listed below."
    assert sum(sentence.startswith("Control ") for sentence in verdict.sentences) == 5


def test_an_invalid_audit_says_nothing_about_leakage():
    verdict = headline_of(Sample(valid=False, class_names=["a", "b"]).audit())
    assert verdict.state == "invalid"
    assert not any("leak" in sentence or "AUC" in sentence.split("expected")[0] for sentence in verdict.sentences)


def test_every_glossary_entry_says_what_the_number_is_not():
    assert all(" not " in meaning or "cannot" in meaning for meaning in GLOSSARY.values())


def test_the_headline_is_the_mean_over_runs_and_this_run_alone_stands_beside_it():
    audit = Sample().audit()
    scorer, surfaces = audit.declared.scorer, dict(audit.surfaces)
    for name, value in (("teacher", 0.7), ("student", 0.6)):
        runs = surfaces[name].leave_one_out[scorer]
        mean = Estimate(value, value - 0.01, value + 0.01, 9, "jackknife")
        found = {**surfaces[name].leave_one_out, scorer: runs.model_copy(update={"mean": mean})}
        surfaces[name] = surfaces[name].model_copy(update={"leave_one_out": found})
    over_runs = Estimate(-0.1, -0.12, -0.08, 9, "jackknife")
    differences = audit.differences.model_copy(update={"auc_over_runs": over_runs, "auc": Estimate(0.0, -0.1, 0.1, 9, "")})
    audit = audit.model_copy(update={"surfaces": surfaces, "differences": differences})
    rows = {row.key: row for row in headline_rows(audit)}
    assert (rows["auc"].teacher.value, rows["auc"].student.value, rows["auc"].difference.value) == (0.7, 0.6, -0.1)
    assert rows["auc_of_target"].teacher.value == surfaces["teacher"].auc[scorer].value
    assert (rows["auc"].change, rows["auc_of_target"].change) == ("better", "none")
    verdict = headline_of(audit)
    assert verdict.headline.startswith("Less membership leakage")
    assert any("means over 9 runs: what training of this kind leaks" in sentence for sentence in verdict.sentences)
    row = next(row for row in surface_rows(audit) if row.key == "teacher")
    assert (row.auc.value, row.target.value) == (0.7, surfaces["teacher"].auc[scorer].value)
