"""Fields of an audit as sentences: every kind of reason has its own, with its numbers."""

from __future__ import annotations

from typing import get_args

import pytest

from tckr.artifacts.audit import Finding, FindingReason, Remark, Verdict, VerdictReason
from tckr.membership.wording import finding_text, judged_text, open_texts, verdict_text, why_not_measured
from tckr.metrics.estimate import Estimate

AUC = Estimate(0.6123, 0.5812, 0.6434, 400, "DeLong")
FINDINGS = {
    "auc_above": "AUC 0.612 [0.581, 0.643] (p < 0.001)",
    "auc_below": "AUC 0.612 [0.581, 0.643] is below 0.5: members have lower values; is the sign of the "
    "signal wrong? (p < 0.001)",
    "auc_of_runs": "mean AUC of all runs 0.612 [0.581, 0.643] (p < 0.001)",
    "records_above": "AUC of single records 0.612 [0.581, 0.643] (p < 0.001)",
    "records_below": "AUC of single records 0.612 [0.581, 0.643] is below 0.5: members have lower values (p < 0.001)",
    "auc_of_package": "AUC 0.612 [0.581, 0.643] (p < 0.001)",
    "tail": "epsilon at least 0.7 (p < 0.001)",
    "canaries": "epsilon at least 0.7 by canaries (p < 0.001)",
    "near_copies": "excess of near-copies 0.612 [0.581, 0.643] (p < 0.001, needed 0.005)",
    "images_tell": "a model trained only on the images reveals their members (check: shared generator)",
    "nothing_found": "AUC 0.612 [0.581, 0.643], smallest p < 0.001; an AUC of 0.57 would be detected in 80 of 100 audits",
    "no_references": "attacked without references only, AUC 0.612 [0.581, 0.643]; an AUC of 0.57 would be detected in 80 of "
    "100 audits",
    "no_attack": "no attack",
}


def test_every_finding_has_its_sentence():
    assert set(FINDINGS) == set(get_args(Finding))


@pytest.mark.parametrize(("kind", "text"), FINDINGS.items())
def test_a_finding_says_its_numbers_with_the_digits_that_their_intervals_support(kind, text):
    numbers = {"found": AUC, "epsilon": 0.75, "p_value": 0.0004, "level": 0.005, "detectable_auc": 0.5678}
    assert finding_text(FindingReason(kind=kind, canaries="natural", **numbers)) == text


def test_an_auc_by_another_attack_than_the_surfaces_names_it():
    reason = FindingReason(kind="auc_above", found=AUC, attack="quantile_regression", signal="images_pixels", p_value=0.03)
    assert finding_text(reason) == "AUC 0.612 [0.581, 0.643] by quantile regression, nearest in pixels (p = 0.03)"


def test_without_a_bound_a_finding_says_what_was_found_instead():
    assert (
        finding_text(FindingReason(kind="tail", epsilon=0.0, p_value=0.02))
        == "the records with the highest scores are members (p = 0.02)"
    )
    guessed = FindingReason(kind="canaries", canaries="mislabelled", epsilon=0.0, p_value=0.02)
    assert finding_text(guessed) == "mislabelled canaries were guessed better than by chance (p = 0.02)"


REMARKS = {
    "memorizer_missed": "not conclusive for soft labels, Student: this attack would miss even a Teacher that memorized",
    "no_references": "attacked only without references, where finding nothing counts as not measured: soft labels, Student",
    "control_not_given": "control runs missing: null control (soft labels, Student)",
    "control_not_measurable": "not measurable with so few reference runs: null (soft labels, Student)",
    "never_varied": "left out, because their membership never varies: 1,234 records",
    "dependent_runs": "members were not sampled independently for every run, so only the target is judged",
}
JUDGED = {"no_non_members", "too_few_runs", "control_failed"}


def test_every_remark_is_either_judged_or_left_open():
    assert set(REMARKS) | JUDGED == set(get_args(Remark))


@pytest.mark.parametrize(("kind", "text"), REMARKS.items())
def test_what_a_verdict_leaves_open_names_the_surfaces_by_their_titles(kind, text):
    reason = VerdictReason(kind=kind, num_records=1234, control="null", surfaces=["soft_labels", "student"])
    assert open_texts(Verdict(state="valid", reasons=[reason])) == [text]


def test_controls_of_one_kind_share_a_sentence():
    missing = [VerdictReason(kind="control_not_given", control=name) for name in ("null", "positive")]
    assert verdict_text(Verdict(state="valid", reasons=missing)) == (
        "audit valid; control runs missing: null control, positive control"
    )


def test_an_invalid_audit_names_its_failed_controls():
    failed = [VerdictReason(kind="control_failed", control=name, surfaces=["teacher"]) for name in ("null", "parity")]
    assert judged_text(Verdict(state="invalid", reasons=failed)) == "audit invalid: null (Teacher), parity (Teacher)"


def test_a_reason_with_a_semicolon_stays_one_reason():
    verdict = Verdict(state="not measured", reasons=[VerdictReason(kind="no_non_members")])
    assert "; set prepare.audit_holdout above 0" in why_not_measured(verdict)
    assert open_texts(verdict) == []
    few = Verdict(state="not measured", reasons=[VerdictReason(kind="too_few_runs", num_reference_runs=1)])
    assert judged_text(few) == "not measured: 1 reference runs; at least 2 are needed (audit.num_reference_runs)"
