"""Rows about surfaces, packages, canaries, controls and copies repeat the audit and add no judgement."""

from __future__ import annotations

import pytest

from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.results import CopiesResult
from tckr.metrics.rounding import rounded
from tckr.stages.audit.packages import PACKAGES
from tckr.stages.report.checks import PURPOSES, control_groups, purposes, result_of
from tckr.stages.report.copies import copies_summary, redraw_command, redrawn_sentence
from tckr.stages.report.leakage import canary_rows, package_rows, surface_rows
from tckr.stages.report.shared_audit import shareable_audit
from tckr.stages.report.wording import verdict_of
from tests.stages.report.sample import Sample
from tests.stages.report.sample_audit import CANARIES, REPEATED


def audit_of(**changes):
    return Sample(**{"class_names": ["a", "b"], **changes}).audit()


def rows_of(audit):
    return {row.key: row for row in surface_rows(audit)}


def test_states_and_their_reasons_are_the_audits_own_whatever_the_interval_is():
    audit = audit_of()
    changed = {
        name: surface.model_copy(update={"state": state, "why": f"because {name}"})
        for (name, surface), state in zip(
            audit.surfaces.items(), 2 * ["no measurable leakage", "not measured", "leaks"], strict=True
        )
    }
    rows = rows_of(audit.model_copy(update={"surfaces": changed}))
    assert {key: (row.state, row.why) for key, row in rows.items()} == {
        name: (surface.state, f"because {name}") for name, surface in changed.items()
    }


@pytest.mark.parametrize("depth", ["teacher", "distill", "full"])
def test_exactly_the_surfaces_that_reference_runs_repeat_have_references(depth):
    audit = audit_of(depth=depth)
    found = {key for key, row in rows_of(audit).items() if row.has_references}
    assert found == {key for key, depths in REPEATED.items() if depth in depths}
    assert all((row.epsilon.value is not None) == row.has_references for row in rows_of(audit).values())


def test_the_strongest_attack_names_its_signal_only_where_it_is_another_one():
    rows = rows_of(audit_of())
    assert rows["student"].strongest_by == "LiRA online, fixed variance; indirect queries"
    assert rows["teacher"].strongest_by == "LiRA online, fixed variance"


def test_a_surface_that_was_not_attacked_has_a_reason_instead_of_a_number():
    audit = audit_of()
    without = audit.model_copy(update={"surfaces": {"teacher": audit.surfaces["teacher"]}})
    row = rows_of(without)["adapter"]
    assert (row.state, row.auc.text, row.auc.reason) == ("not measured", "not attacked", "no attack on this surface was run")
    unmeasured = rows_of(audit_of(measured=False))["teacher"]
    assert unmeasured.auc.reason == "membership was not measured"
    assert unmeasured.attack == ""


def test_given_tables_keep_their_own_surfaces():
    audit = audit_of()
    declared = audit.declared.model_copy(update={"depth": ""})
    given = audit.model_copy(update={"declared": declared, "surfaces": {"my_model": audit.surfaces["teacher"]}})
    (row,) = surface_rows(given)
    assert (row.name, row.covers) == ("my model", "As far as the given tables go.")


def test_a_leaking_generator_takes_the_references_from_what_learned_of_it():
    audit = audit_of()
    student = audit.surfaces["student"].model_copy(update={"attack": "global_threshold"})
    failed = [
        control.model_copy(update={"passed": False}) if control.name == "shared generator" else control
        for control in audit.controls
    ]
    leaking = audit.model_copy(update={"controls": failed, "surfaces": audit.surfaces | {"student": student}})
    row = rows_of(leaking)["student"]
    assert not row.has_references
    assert row.covers.startswith("No reference fits: the shared generator knows")


def test_packages_repeat_the_audits_state_and_reason():
    rows = {row.name: row for row in package_rows(audit_of(canaries=False))}
    assert rows["Student"].state == "leaks"
    assert rows["Student"].reason == "Student: AUC 0.567 [0.537, 0.597] (p = 0.001); epsilon at least 0.07 (p = 0.001)"
    assert rows["Student"].exposes == {"student": "leaks"}
    assert rows["synthetic images"].state == "not measured"
    assert rows["synthetic images"].reason == "images: attacked without references only, AUC 0.510 [0.480, 0.540]"
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


def test_canaries_come_in_the_order_of_the_surfaces_with_their_conditions():
    rows = canary_rows(audit_of())
    assert [(row.surface, row.kind) for row in rows] == [
        ("Teacher", "mislabelled"),
        ("Student", "natural"),
        ("Student", "mislabelled"),
    ]
    bound = CANARIES["teacher"]["mislabelled"]
    assert rows[0].bound.value == bound.value
    assert rows[0].bound.text == "\u2265 2.38"
    assert rows[0].guessed == "239 of 250 guesses right, 250 canaries"
    assert rows[0].conditions == "95 % confidence, delta 1e-5"
    assert rows[2].conditions.endswith("; the Student's own signal only, for all runs share the generator")
    assert not any("own signal" in row.conditions for row in canary_rows(audit_of(depth="full")))
    assert rows[1].bound.value is None
    assert rows[1].bound.reason.startswith("5 canaries")


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


def test_redrawing_keeps_what_was_redrawn_before():
    audit = audit_of()
    assert redraw_command(audit.copies, []) == "tckr run RUN_FOLDER 'generate.redraw=[1,2,3]'"
    assert redraw_command(audit.copies, [2, 7]) == "tckr run RUN_FOLDER 'generate.redraw=[1,2,2,3,7]'"
    assert redraw_command(audit.copies.model_copy(update={"flagged": []}), [7]) == ""


def test_copies_are_told_with_their_numbers():
    audit = audit_of()
    summary = copies_summary(audit, [], include_private=True)
    assert summary.headline == "No measurable excess of near-copies of members"
    assert (summary.excess.value, summary.excess.text) == (0.004, "+0.40 % [\u22120.50 %, +1.30 %]")
    assert summary.closer.text == "51.2 % [47.2 %, 55.2 %]"
    assert (summary.num_flagged, summary.num_mirrored) == (3, 2)
    assert "within 7.12" in summary.nearness
    assert "5 % of the 1,294 real records" in summary.nearness
    assert [(row.synthetic, row.member, row.member_distance.value) for row in summary.flagged] == [
        (2, 2, 1.2),
        (3, 3, 2.25),
        (1, 1, 6.5),
    ]


def test_what_may_be_shared_of_copies_is_counts_and_shares():
    audit = audit_of()
    summary = copies_summary(audit, [7], include_private=False)
    assert (summary.flagged, summary.command) == ([], "")
    assert "7.12" not in summary.nearness
    assert (summary.num_flagged, summary.num_mirrored, summary.excess.value) == (3, 2, 0.004)
    shared = shareable_audit(audit).copies
    assert (shared.flagged, shared.threshold) == ([], None)
    assert (shared.num_flagged, shared.num_mirrored, shared.excess) == (3, 2, rounded(audit.copies.excess))


def test_redrawn_images_are_counted_once_and_said_to_be_chosen():
    assert redrawn_sentence([]) == ""
    assert redrawn_sentence([2]).startswith("1 image was drawn anew")
    sentence = redrawn_sentence([2, 7, 2])
    assert sentence.startswith("2 images were drawn anew")
    assert "excess and AUC of the images are too low, and the adapter still draws the copies" in sentence


def test_copies_that_cannot_be_measured_say_why():
    none = NotMeasurable("one hold-out record", 1)
    copies = CopiesResult(
        **dict.fromkeys(("excess", "near_member", "near_holdout", "closer"), none),
        threshold=None,
        quantile=0.05,
        num_synthetic=1,
        num_members=2,
        num_holdout=1,
    )
    few = audit_of().model_copy(update={"copies": copies})
    summary = copies_summary(few, [], include_private=False)
    assert summary.headline == "Not measurable: one hold-out record"
    assert summary.excess.value is None
    assert summary.command == summary.nearness == ""
    assert "Copies: not measurable: one hold-out record." in verdict_of(few).sentences
    assert copies_summary(few.model_copy(update={"copies": None}), [], include_private=False) is None
