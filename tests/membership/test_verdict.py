from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from benchmarks.null_audits import without_numbers

from tckr.artifacts.audit import AuditResult, Package, Verdict, VerdictReason
from tckr.membership.canaries import canaries_of
from tckr.membership.config import Depth, MembershipConfig
from tckr.membership.controls import (
    null,
    null_confidence,
    on_reference_scale,
    parity,
    planned_nulls,
    positive,
    prediction_interval,
)
from tckr.membership.evidence import Evidence
from tckr.membership.planted import planted
from tckr.membership.scorers import SCORERS
from tckr.membership.verdict import judge
from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.results import CopiesResult, OneRunBound
from tckr.surfaces import SIGNALS
from tests.membership.worlds import evidence, only

pytestmark = pytest.mark.usefixtures("few_scorers", "few_redraws")
FULL = MembershipConfig(depth="full")


@cache
def judged(depth: Depth = "distill", seed: int = 0, shift: float = 1.0, records: int = 600) -> AuditResult:
    """Return what is said of a world: the same object for the same world, so that tests share it."""
    return judge(MembershipConfig(depth=depth), evidence(seed, shift=shift, records=records, depth=depth))


def stated(evidence: Evidence, config: MembershipConfig | None = None, **more: Any) -> AuditResult:
    """Return what is said of a world, without numbers that are only printed: they take half of the time."""
    with without_numbers():
        return judge(config or MembershipConfig(), evidence, **more)


def failed(result: AuditResult) -> set[tuple[str, str]]:
    return {(check.name, check.surface) for check in result.controls if check.decides and not check.passed}


def test_sound_audit_is_valid_and_complete() -> None:
    result = judged()
    assert (result.measured, result.valid) == (True, True)
    alone = VerdictReason(kind="no_references", surfaces=["captions", "adapter", "images"])
    assert result.verdict == Verdict(state="valid", reasons=[alone])
    teacher, student = result.surfaces["teacher"], result.surfaces["student"]
    for surface in (teacher, student):
        assert set(surface.auc) == set(surface.tpr) == set(surface.roc) == set(surface.leave_one_out) == set(SCORERS)
        assert set(surface.auc_by_class) == set(surface.per_class) == set("abcd")
        assert surface.attack == MembershipConfig().scorer
        assert np.sum(surface.confusion) == 200
        by_class = [accuracy.value for accuracy in surface.per_class.values()]
        assert surface.balanced_cas.value == pytest.approx(np.mean(by_class))
        assert surface.over_largest.value == pytest.approx(surface.cas.value - result.largest_class.share)
        assert isinstance(surface.balanced_accuracy, Estimate)
        assert surface.epsilon_lower_bound is not None
        assert isinstance(surface.aop, Estimate)
        assert isinstance(surface.cas, Estimate)
        assert surface.aop.value < surface.cas.value
    assert isinstance(result.differences.auc, Estimate)
    assert result.differences.auc.high < 0
    assert isinstance(result.differences.cas, Estimate)
    assert result.differences.cas.value == 0
    assert AuditResult.model_validate_json(result.model_dump_json()) == result


def test_a_student_of_the_images_alone_is_compared_with_the_teacher_on_the_same_images() -> None:
    given = evidence(records=100)
    answers = given.test_labels.copy()
    answers[:20] = (answers[:20] + 1) % 4
    wrong = replace(given.test["student"], classes=answers)
    found = stated(replace(given, test={**given.test, "images_alone": wrong})).images_alone
    right = answers == given.test_labels
    assert found.cas.value == 0.9
    assert found.balanced_cas.value == pytest.approx(
        np.mean([right[given.test_labels == label].mean() for label in range(4)])
    )
    teacher = np.mean(given.test["teacher"].classes == given.test_labels)
    assert found.difference.value == pytest.approx(0.9 - teacher)
    assert judged().images_alone is None


def test_strongest_says_that_it_was_chosen_on_the_labels() -> None:
    found = judged().surfaces["teacher"]
    assert found.strongest is not None
    assert found.strongest.note == f"strongest of {len(SCORERS)}, chosen on the evaluation labels"
    assert found.strongest.auc == max(found.auc.values(), key=lambda each: each.value)  # type: ignore[union-attr]


def test_null_model_that_saw_the_members_makes_the_audit_invalid() -> None:
    result = stated(evidence(null_shift=1.0))
    assert failed(result) == {("null", "teacher")}
    assert (result.measured, result.valid) == (True, False)
    assert result.verdict.reasons[0] == VerdictReason(kind="control_failed", control="null", surfaces=["teacher"])
    assert {surface.state for surface in result.surfaces.values()} == {"not measured"}
    assert {package.state for package in result.packages} == {"not measured"}
    assert result.surfaces["teacher"].auc


def test_shared_generator_that_leaks_leaves_the_student_unmeasured_and_the_audit_valid() -> None:
    result = judge(MembershipConfig(), evidence(1, generator_leak=2.0, records=1200))
    assert (result.valid, result.generator_leaks) == (True, True)
    checks = [c for c in result.controls if c.name == "shared generator" and c.measure == "lira_offline_fixed_variance"]
    assert any(isinstance(check.found, Estimate) and check.found.high < 0.5 for check in checks)
    assert not any(check.decides for check in checks)
    assert {package.state for package in result.packages if "images" in package.exposes} == {"leaks"}
    for surface in ("student", "soft_labels"):  # both learned from the images
        found = result.surfaces[surface]
        assert set(found.auc) == {found.attack} == {"global_threshold"}
        assert isinstance(found.aop, NotMeasurable)
        assert "shared generator" in found.aop.reason
    assert isinstance(result.differences.auc, NotMeasurable)
    assert not judged(seed=1, records=1200).generator_leaks


def test_p_values_in_what_is_expected_have_one_digit_because_it_is_shared() -> None:
    told = [check for check in judged().controls if check.name == "shared generator"]
    assert told
    assert all(re.search(r"; found (below 0\.001|1|0\.0*[1-9])$", check.expected) for check in told)


def test_two_references_are_too_few_for_per_record_variances_and_for_parity() -> None:
    world = evidence(records=1200, num_references=2)
    assert not planted(MembershipConfig(scorer="lira_online"), world, "teacher").passed
    assert planted(MembershipConfig(), world, "teacher").passed
    checks = parity(MembershipConfig(), world)
    assert checks
    assert all(isinstance(check.found, NotMeasurable) and not check.decides for check in checks)
    verdict = stated(world).verdict
    found = {reason.control: reason.surfaces for reason in verdict.reasons if reason.kind == "control_not_measurable"}
    assert found == {"parity": ["soft_labels", "teacher", "student"]}


def test_pure_memorizer_scores_nearly_one() -> None:
    check = positive(MembershipConfig(), evidence(positive_shift=50.0), "teacher", "lira_offline_fixed_variance")
    assert isinstance(check.found, Estimate)
    assert check.found.low > 0.95


def test_memorizer_that_the_attack_cannot_see_makes_the_audit_invalid() -> None:
    assert failed(stated(evidence(positive_shift=0.0))) == {("positive", "teacher")}


def test_memorizer_is_found_although_it_is_far_surer_of_everything_than_the_references() -> None:
    found = evidence(positive_shift=1.5, records=1200)
    overconfident = {signal: 8 * values + 30 for signal, values in found.controls["positive"].items()}
    stretched = replace(found, controls={**found.controls, "positive": overconfident})
    check = positive(MembershipConfig(), stretched, "teacher", "lira_offline_fixed_variance")
    assert check.passed
    assert check == positive(MembershipConfig(), found, "teacher", "lira_offline_fixed_variance")


def test_reference_scale_keeps_the_order_and_takes_the_distribution() -> None:
    references = np.random.default_rng(0).normal(size=(8, 500))
    found = on_reference_scale(np.array([3.0, 1e9, -7.0, 3.0]), references)
    assert found[2] < found[0] == found[3] < found[1]
    assert on_reference_scale(references[0], references).std() == pytest.approx(1, abs=0.1)


def test_target_unlike_its_references_makes_the_audit_invalid() -> None:
    assert failed(stated(evidence(target_offset=4.0))) == {("parity", "teacher")}


def test_membership_rows_that_determine_each_other_make_the_audit_invalid() -> None:
    """The classic broken design: every record in exactly half of all runs, so the references give row 0 away."""
    sound = evidence(num_references=7)
    generator = np.random.default_rng(0)
    members = np.argsort(generator.random(sound.members.T.shape), axis=1).T < 4
    signals = generator.normal(size=members.shape) + 2 * members
    constant = {"teacher": np.zeros(members.shape[1])}
    broken = replace(
        sound,
        members=members,
        signals={"teacher": signals},
        correct={},
        controls={"null": constant, "positive": constant},
        test={},
    )
    assert ("null", "teacher") in failed(stated(broken))


def test_references_that_leak_nothing_do_not_spoil_the_positive_control() -> None:
    """An online attack learns from private reference runs that there is nothing to find; that is no fault of the audit."""
    config = MembershipConfig(scorer="lira_online_fixed_variance")
    result = stated(only(evidence(1, shift=0.0, records=1200), "teacher"), config)
    assert result.valid
    shown = {(check.surface, check.measure): check.passed for check in result.controls if check.name == "positive"}
    assert shown[("teacher", "lira_offline_fixed_variance")]
    assert not shown[("teacher", "lira_online_fixed_variance")]


def test_true_nulls_pass_together_in_95_of_100() -> None:
    def passes(seed: int) -> bool:
        found = evidence(seed, records=200)
        checks = planned_nulls(MembershipConfig(), found)
        return all(null(found, check, null_confidence(len(checks))).passed for check in checks)

    assert sum(passes(seed) for seed in range(100)) >= 88


def test_parity_covers_one_more_run_of_the_same_kind() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        *runs, target = generator.normal(0.9, 0.01, size=9)
        low, high = prediction_interval([(mean, 1e-9) for mean in runs], 0.99)
        inside += low <= target <= high
    assert 978 <= inside <= 998


def test_parity_does_not_condemn_by_luck_of_equal_references() -> None:
    low, high = prediction_interval([(1.0, 0.01**2)] * 8, 0.99)
    assert low < 0.99 < high


def without_membership(found: Evidence, rows: int) -> Evidence:
    return replace(found, members=found.members[:rows], signals={}, correct={}, controls={})


@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_reference_runs_give_accuracy_and_no_membership_number(rows: int) -> None:
    result = judge(MembershipConfig(), without_membership(evidence(), rows))
    assert (result.measured, result.valid, result.controls) == (False, False, [])
    assert result.verdict.reasons == [VerdictReason(kind="too_few_runs", num_reference_runs=rows - 1)]
    student = result.surfaces["student"]
    assert isinstance(student.cas, Estimate)
    assert (student.aop, student.auc, student.roc, student.balanced_accuracy) == (None, {}, {}, None)
    assert result.differences is not None
    assert result.differences.auc is None
    assert isinstance(result.differences.cas, Estimate)


def test_no_hold_out_gives_no_membership_number() -> None:
    found = evidence()
    result = judge(MembershipConfig(), without_membership(replace(found, members=np.ones_like(found.members)), 9))
    assert result.verdict.reasons == [VerdictReason(kind="no_non_members")]
    assert not result.measured


def test_depth_teacher_leaves_the_student_to_the_global_threshold() -> None:
    result = judge(MembershipConfig(depth="teacher"), evidence(depth="teacher"))
    student = result.surfaces["student"]
    assert set(student.auc) == {"global_threshold"}
    assert isinstance(student.aop, NotMeasurable)
    assert result.differences is not None
    assert isinstance(result.differences.auc, NotMeasurable)
    assert {check.surface for check in result.controls} == {"teacher"}
    assert result.valid


def test_three_non_members_are_reported_as_what_they_are() -> None:
    found = evidence(records=60)
    members = found.members.copy()
    members[0] = True
    members[0, :3] = False
    result = judge(MembershipConfig(), replace(found, members=members))
    teacher = result.surfaces["teacher"]
    auc, tpr = teacher.auc["lira_offline_fixed_variance"], teacher.tpr["lira_offline_fixed_variance"]
    assert isinstance(auc, Estimate)
    assert auc.high - auc.low > 0.5
    assert all(isinstance(each, NotMeasurable) for each in tpr.values())
    assert result.declared.num_non_members == 3


def test_full_depth_attacks_every_surface_with_references_and_holds_all_of_them_to_the_controls() -> None:
    result = judged("full", records=1200)
    assert result.valid, result.verdict
    assert list(result.surfaces) == list(SIGNALS)
    assert all(set(surface.auc) == set(SCORERS) for surface in result.surfaces.values())
    assert {check.surface for check in result.controls if check.name == "null" and check.decides} == set(SIGNALS)
    positive_surfaces = {check.surface for check in result.controls if check.name == "positive" and check.decides}
    assert positive_surfaces == set(SIGNALS) - {"captions"}  # whose control has the target's own captions
    assert set(result.surfaces["images"].other_signals) == {"images_pixels", "images_relative"}
    assert set(result.surfaces["student"].other_signals) == {"student_indirect"}
    assert not result.declared.generator_shared


@pytest.mark.parametrize("signals", [["adapter"], ["adapter", "images", "soft_labels", "teacher", "student"]])
def test_a_memorizer_that_a_surface_hides_makes_a_full_audit_invalid(signals: list[str]) -> None:
    """Each surface is held to it by itself, whether others show the memorizer or not."""
    world = evidence(depth="full", records=1200)
    hidden = {**world.controls["positive"], **{signal: world.controls["null"][signal] for signal in signals}}
    result = stated(replace(world, controls={**world.controls, "positive": hidden}), FULL)
    assert failed(result) == {("positive", world.surface_of(signal)) for signal in signals}


def test_surfaces_without_references_have_the_plain_attack_and_no_accuracy_over_privacy() -> None:
    found = judged().surfaces["images"]
    assert (found.attack, set(found.auc)) == ("global_threshold", {"global_threshold"})
    assert isinstance(found.aop, NotMeasurable)
    assert isinstance(found.headline, Estimate)
    assert found.per_class == {}
    assert found.ece is None


def test_images_that_depend_on_their_members_show_in_a_student_trained_only_on_them() -> None:
    """Below depth full the null Student learned from the target's images; without references nothing cancels that."""
    world = evidence(records=1200)
    knowing = world.controls["null"]["student"] + 3.0 * world.members[0]
    told = replace(world, controls={**world.controls, "null": {**world.controls["null"], "student": knowing}})
    result = stated(told)
    assert result.generator_leaks
    plain = [c for c in result.controls if c.name == "shared generator" and c.measure == "global_threshold"]
    assert any(not check.passed and not check.decides for check in plain)


def packages_of(result: AuditResult) -> dict[str, Package]:
    return {package.name: package for package in result.packages}


def test_a_package_leaks_when_anything_in_it_does_and_says_what() -> None:
    found = packages_of(judged("full", records=1200))
    assert (found["Teacher"].state, found["Teacher"].deciding) == ("leaks", ["teacher"])
    assert found["images, soft labels and Student"].deciding == ["images", "soft_labels", "student"]
    quiet = packages_of(stated(evidence(1, shift=0.0, records=1200, depth="full"), FULL))
    assert quiet["Student"].state == "no measurable leakage"
    assert quiet["images, soft labels and prompts"].exposes == ["images", "soft_labels", "captions"]


def test_finding_nothing_without_references_is_not_called_no_leakage() -> None:
    found = packages_of(stated(evidence(1, shift=0.0, records=1200)))
    assert found["Student"].state == "no measurable leakage"
    assert found["synthetic images"].state == "not measured"
    assert found["synthetic images"].deciding == ["images"]


def test_a_few_records_that_the_model_gives_away_make_it_leak_though_the_auc_says_nothing() -> None:
    world = only(evidence(1, shift=0.0, records=3000, depth="full"), "student")
    exposed = np.random.default_rng(0).random(3000) < 0.012
    student = world.signals["student"] + 50.0 * exposed * world.members
    surface = stated(replace(world, signals={**world.signals, "student": student}), FULL).surfaces["student"]
    assert isinstance(surface.of_target, Estimate)
    assert surface.of_target.low < 0.5
    assert surface.state == "leaks"
    assert surface.epsilon_lower_bound is not None
    assert ("tail", surface.epsilon_lower_bound.value) in [(reason.kind, reason.epsilon) for reason in surface.reasons]


def test_runs_that_leak_together_make_a_surface_leak_that_this_run_alone_would_not() -> None:
    world = only(evidence(1, shift=0.0, records=1200, depth="full", num_references=16), "student")
    student = world.signals["student"] + 0.3 * world.members * (np.arange(17) > 0)[:, None]  # all runs but the target leak
    surface = judge(FULL, replace(world, signals={**world.signals, "student": student})).surfaces["student"]
    assert isinstance(surface.of_target, Estimate)
    assert surface.of_target.covers(0.5)
    assert surface.headline == surface.leave_one_out[surface.attack].mean
    assert surface.state == "leaks"
    assert surface.reasons[0].kind == "auc_of_runs"
    assert surface.reasons[0].found == surface.leave_one_out[surface.attack].mean


def test_canaries_that_prove_something_make_their_surface_leak() -> None:
    coins, kinds = np.random.default_rng(0).random(100) < 0.5, np.tile(np.array([1, 2], dtype=np.int8), 50)
    planted = canaries_of({"adapter": coins + 0.0, "student": np.arange(100.0)}, coins, kinds)
    world = only(evidence(1, shift=0.0, records=1200, depth="full"), "adapter", "student")
    result = stated(world, FULL, canaries=planted)
    found, bound = result.surfaces, result.canaries["adapter"]["natural"]
    assert isinstance(bound, OneRunBound)
    assert found["adapter"].state == "leaks"
    assert ("natural", bound.value) in [(reason.canaries, reason.epsilon) for reason in found["adapter"].reasons]
    assert found["student"].state == "no measurable leakage"


def test_copies_make_the_images_leak_even_where_the_attack_finds_nothing() -> None:
    world = evidence(1, shift=0.0, records=600, depth="full")

    def states(excess: Estimate, p_value: float) -> dict[str, str]:
        none = NotMeasurable("not asked")
        copies = CopiesResult(
            excess=excess, p_value=p_value, near_member=none, near_holdout=none, closer=none, threshold=1.0, quantile=0.05,
            num_synthetic=100, num_members=50, num_holdout=50,
        )  # fmt: skip
        found = packages_of(stated(world, FULL, copies=copies))
        return {name: package.state for name, package in found.items()}

    found = states(Estimate(0.2, 0.1, 0.3, 100, "made up"), 0.001)
    assert (found["synthetic images"], found["adapter"], found["Student"]) == ("leaks", "leaks", "no measurable leakage")
    assert states(Estimate(0.0, -0.1, 0.1, 100, "made up"), 0.5)["synthetic images"] == "no measurable leakage"
    assert states(Estimate(0.1, 0.01, 0.3, 100, "made up"), 0.01)["synthetic images"] == "no measurable leakage"


def test_the_verdict_names_the_surfaces_where_even_a_memorizer_does_not_show() -> None:
    world = evidence(1, records=1200)
    hidden = {**world.controls["positive"], "student": world.controls["null"]["student"]}
    result = stated(replace(world, controls={**world.controls, "positive": hidden}))
    assert result.valid
    missed = VerdictReason(kind="memorizer_missed", surfaces=["student"])
    assert missed in result.verdict.reasons
    assert missed not in judged(seed=1, records=1200).verdict.reasons
