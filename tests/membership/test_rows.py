"""Rows about surfaces and canaries repeat the audit and add no judgement."""

from __future__ import annotations

import pytest

from tckr.artifacts.audit import FindingReason
from tckr.membership.rows import canary_rows, surface_rows
from tckr.metrics.estimate import Estimate
from tests.stages.report.sample import Sample
from tests.stages.report.sample_audit import REPEATED
from tests.stages.report.sample_bounds import CANARIES


def audit_of(**changes):
    return Sample(**{"class_names": ["a", "b"], **changes}).audit()


def rows_of(audit):
    return {row.key: row for row in surface_rows(audit)}


def test_states_and_their_reasons_are_the_audits_own_whatever_the_interval_is():
    audit = audit_of()
    because = [
        FindingReason(kind="no_references", found=Estimate(0.625, 0.5, 0.75, 100, "")),
        FindingReason(kind="no_attack"),
    ]
    changed = {
        name: surface.model_copy(update={"state": state, "reasons": because})
        for (name, surface), state in zip(
            audit.surfaces.items(), 2 * ["no measurable leakage", "not measured", "leaks"], strict=True
        )
    }
    rows = rows_of(audit.model_copy(update={"surfaces": changed}))
    assert {key: (row.state, row.why) for key, row in rows.items()} == {
        name: (surface.state, "attacked without references only, AUC 0.620 [0.500, 0.750]; no attack")
        for name, surface in changed.items()
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
    assert (row.name, row.covers) == ("my model", "Only the content of the given tables.")


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
    assert row.covers.startswith("No reference run applies, because the shared generator")


def test_canaries_come_in_the_order_of_the_surfaces_with_their_conditions():
    rows = canary_rows(audit_of())
    assert [(row.surface, row.kind) for row in rows] == [
        ("Teacher", "mislabelled"),
        ("Student", "natural"),
        ("Student", "mislabelled"),
    ]
    bound = CANARIES["teacher"]["mislabelled"]
    assert rows[0].bound.value == bound.value
    assert rows[0].bound.text == "\u2265 2.37"
    assert rows[0].guessed == "239 of 250 guesses right, 250 canaries"
    assert rows[0].conditions == "95 % confidence, delta 1e-5"
    assert (rows[0].mu.value, rows[0].mu.text) == (1.375, "\u2265 1.37")
    assert "mu assumes" in rows[0].assumes
    assert rows[1].mu.value is rows[2].mu.value is None
    assert rows[2].conditions.endswith("; the Student's own signal only, because all runs share the generator")
    assert not any("own signal" in row.conditions for row in canary_rows(audit_of(depth="full")))
    assert rows[1].bound.value is None
    assert rows[1].bound.reason.startswith("5 canaries")
