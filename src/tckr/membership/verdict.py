"""Judge the evidence: findings of every surface, controls, and the validity of the audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tckr.artifacts.audit import (
    SHARED_GENERATOR,
    AuditResult,
    Control,
    Declared,
    Differences,
    ImagesAlone,
    Remark,
    SurfaceResult,
    Together,
    Verdict,
    VerdictReason,
)
from tckr.membership.analyses import Track, aucs_of_runs, mean_over_runs, untracked
from tckr.membership.canaries import Canaries, canary_bounds
from tckr.membership.config import MIN_REFERENCE_RUNS, RULES, MembershipConfig
from tckr.membership.controls import POSITIVE_SCORER, controls, regress_side_by_side
from tckr.membership.evidence import IMAGES_ALONE, Evidence
from tckr.membership.family import Family, judge_together
from tckr.membership.findings import surface_result, usable_scorers
from tckr.membership.packages import packages, stated
from tckr.membership.queries.views import num_queries
from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.package import PackageScores
from tckr.membership.scorers.quantile_regression import Spread
from tckr.membership.thresholds import Thresholds, fix_thresholds
from tckr.membership.together import attack_packages, packages_of
from tckr.membership.units import units_of
from tckr.metrics.accuracy import (
    accuracy,
    accuracy_difference,
    accuracy_over_largest,
    largest_class,
    mean_class_accuracy,
    paired_test,
)
from tckr.metrics.estimate import Measured, NotMeasurable
from tckr.metrics.membership import auc, auc_difference
from tckr.metrics.results import CopiesResult, FidelityResult, PairedTest
from tckr.surfaces import CLASSIFIERS, sees_images

COPIES_SHARE = 0.1
"""Share of the family's level used to test the excess of near-copies."""

GENERATOR_LEAKS = (
    "the shared generator contains information about the target's members, which reference Students make "
    "look like a property of the record; only reference runs with their own generators (depth full) could "
    "measure this Student"
)


def why_not_measured(num_reference_runs: int, num_non_members: int) -> list[VerdictReason]:
    """Return why membership cannot be measured, or an empty list."""
    if num_non_members == 0:
        return [VerdictReason(kind="no_non_members")]
    if num_reference_runs < MIN_REFERENCE_RUNS:
        return [VerdictReason(kind="too_few_runs", num_reference_runs=num_reference_runs)]
    return []


def judge(
    config: MembershipConfig,
    evidence: Evidence,
    copies: CopiesResult | None = None,
    canaries: Canaries | None = None,
    fidelity: FidelityResult | None = None,
    *,
    track: Track = untracked,
    spread: Spread | None = None,
) -> AuditResult:
    """Return the complete result. Membership is judged if `evidence.signals` is not empty; `fidelity` is passed on.

    The unit that was sampled is judged (`units_of`): if records have groups, all results are about groups, and results of
    attacks on single records are given in addition.
    """
    of_records, evidence = evidence, units_of(evidence)
    level, copies_level = levels(config.family_level, copies)
    unmeasured = why_not_measured(len(evidence.members) - 1, int((~evidence.members[0]).sum()))
    assert bool(unmeasured) != bool(evidence.signals), "signals are collected exactly when membership can be measured"
    regress_side_by_side(config, evidence, spread)
    thresholds = {} if unmeasured else thresholds_of(config, evidence)
    packaged = {} if unmeasured else attack_packages(config, evidence)
    family = judge_together(config, evidence, thresholds, canaries, of_records, packages=packaged)
    checks = [] if unmeasured else controls(config, evidence, family.telling, level)
    verdict = verdict_of(evidence, checks, unmeasured)
    images_tell = any(check.name == SHARED_GENERATOR and not check.passed for check in checks)
    if images_tell:
        told = [surface for surface in evidence.measured_surfaces if sees_images(surface)]
        seen = [signal for surface in told for signal in evidence.signals_of(surface)]
        evidence, of_records = (each.without_references(seen, GENERATOR_LEAKS) for each in (evidence, of_records))
    surfaces = _surfaces(config, evidence, of_records, thresholds, strongest=family.strongest, track=track)
    bounds = canary_bounds(canaries, config.confidence, config.delta) if canaries else {}
    if verdict.state != "invalid":  # canaries need no reference runs
        surfaces = stated(
            surfaces,
            family,
            level=level,
            copies=copies,
            copies_level=copies_level,
            canaries=bounds,
            images_tell=images_tell,
        )
    together = attacked_together(config, evidence, packaged, family)
    exposed = packages_of(evidence) if evidence.test else {name: tuple(each.surfaces) for name, each in together.items()}
    return AuditResult(
        verdict=verdict,
        declared=_declared(config, evidence, of_records),
        surfaces=surfaces,
        largest_class=largest_class(evidence.test_labels, evidence.class_names),
        images_alone=images_alone(config, evidence) if IMAGES_ALONE in evidence.test else None,
        differences=differences(config, evidence) if evidence.test else None,
        paired=paired(config, evidence) if evidence.test else None,
        controls=checks,
        packages=[] if unmeasured else packages(surfaces, exposed, together, None if verdict.state == "invalid" else level),
        copies=copies,
        canaries=dict(bounds),
        fidelity=fidelity,
    )


def _surfaces(
    config: MembershipConfig,
    evidence: Evidence,
    of_records: Evidence,
    thresholds: Mapping[str, Thresholds],
    *,
    strongest: Mapping[tuple[str, str], float],
    track: Track,
) -> dict[str, SurfaceResult]:
    return {
        surface: surface_result(
            config,
            evidence,
            surface,
            _of_attack(evidence, surface, thresholds),
            strongest,
            of_records=of_records,
            track=track,
        )
        for surface in evidence.measured_surfaces or CLASSIFIERS
    }


def attacked_together(
    config: MembershipConfig, evidence: Evidence, packaged: Mapping[str, PackageScores], family: Family
) -> dict[str, Together]:
    """Return the result of the attack on all surfaces of each package, if all of them still have references."""
    found = {}
    for name, attacked in packaged.items():
        if all(evidence.has_references(evidence.signals_of(surface)[0]) for surface in attacked.weights):
            measured = auc(attacked.scores, evidence.members[0], config.confidence, evidence.compared_within)
            found[name] = Together(surfaces=attacked.shares, auc=measured, test=family.packages[name])
    return found


def levels(family_level: float, copies: CopiesResult | None) -> tuple[float, float]:
    """Return the levels of all statistics tested by resampling, and of the near-copies, which cannot be (Bonferroni)."""
    share = COPIES_SHARE if copies else 0.0
    return family_level * (1 - share), family_level * share


def thresholds_of(config: MembershipConfig, evidence: Evidence) -> dict[str, Thresholds]:
    """Return the declared scorer's thresholds of every surface with references."""
    found = {}
    for surface in evidence.measured_surfaces:
        signal = evidence.signals_of(surface)[0]
        if evidence.has_references(signal):
            runs = evidence.signals[signal], evidence.members_of(signal)
            found[surface] = fix_thresholds(SCORERS[config.scorer], *runs, config.confidence, config.delta)
    return found


def _of_attack(evidence: Evidence, surface: str, thresholds: Mapping[str, Thresholds]) -> Thresholds | None:
    """Return the thresholds, or None if the surface is attacked without references."""
    signals = evidence.signals_of(surface) if evidence.signals else []
    return thresholds.get(surface) if signals and evidence.has_references(signals[0]) else None


def verdict_of(evidence: Evidence, checks: list[Control], unmeasured: list[VerdictReason]) -> Verdict:
    """Return whether the results are valid; `evidence` before any references are removed."""
    independent = [] if evidence.independent_runs else [VerdictReason(kind="dependent_runs")]
    if evidence.num_left_out:
        independent.append(VerdictReason(kind="never_varied", num_records=evidence.num_left_out))
    if unmeasured:
        return Verdict(state="not measured", reasons=[*unmeasured, *independent])
    failed = _of_controls("control_failed", (check for check in checks if check.decides and not check.passed))
    unknown = (check for check in checks if isinstance(check.found, NotMeasurable) and not check.decides)
    alone = [name for name in evidence.measured_surfaces if not evidence.has_references(evidence.signals_of(name)[0])]
    unseen = unseen_memorizers(evidence, checks)
    reasons = [
        *failed,
        *([VerdictReason(kind="memorizer_missed", surfaces=unseen)] if unseen else []),
        *([VerdictReason(kind="no_references", surfaces=alone)] if alone else []),
        *missing_controls(evidence),
        *_of_controls("control_not_measurable", unknown),
        *independent,
    ]
    return Verdict(state="invalid" if failed else "valid", reasons=reasons)


def _of_controls(kind: Remark, checks: Iterable[Control]) -> list[VerdictReason]:
    """Return one reason for each control, with its surfaces."""
    surfaces: dict[str, dict[str, None]] = {}
    for check in checks:
        surfaces.setdefault(check.name, {})[check.surface] = None
    return [VerdictReason(kind=kind, control=name, surfaces=list(found)) for name, found in surfaces.items()]


def missing_controls(evidence: Evidence) -> list[VerdictReason]:
    """Return the control runs that are missing in the evidence, with the surfaces if only some lack it."""
    declared = {surface: evidence.signals_of(surface)[0] for surface in evidence.measured_surfaces}
    referenced = {surface: signal for surface, signal in declared.items() if evidence.has_references(signal)}
    found = []
    for control in ("null", "positive"):
        queried = evidence.controls.get(control, {})
        lacking = [surface for surface, signal in referenced.items() if signal not in queried]
        if lacking:
            some = lacking if len(lacking) < len(referenced) else []
            found.append(VerdictReason(kind="control_not_given", control=control, surfaces=some))
    return found


def unseen_memorizers(evidence: Evidence, checks: Iterable[Control]) -> list[str]:
    """Return the surfaces on which a memorizing control was attacked for information and not found; leaks may be missed."""
    declared = [evidence.signals_of(surface)[0] for surface in evidence.measured_surfaces]
    shown = [check for check in checks if check.name == "positive" and not check.decides and not check.passed]
    return [check.surface for check in shown if check.signal in declared and check.measure == POSITIVE_SCORER]


def differences(config: MembershipConfig, evidence: Evidence) -> Differences:
    """Return Student minus Teacher, paired over test images and over records."""
    teacher, student = (evidence.test[model].classes == evidence.test_labels for model in CLASSIFIERS)
    cas = accuracy_difference(student, teacher, config.confidence)
    if not evidence.signals:
        return Differences(cas=cas)
    return Differences(cas=cas, auc=_auc_difference(config, evidence), auc_over_runs=_difference_of_runs(config, evidence))


def images_alone(config: MembershipConfig, evidence: Evidence) -> ImagesAlone:
    """Return the results of a Student trained only on the images and their prompts' classes, compared with the Teacher."""
    labels, confidence = evidence.test_labels, config.confidence
    answers, teacher = (evidence.test[model].classes for model in (IMAGES_ALONE, "teacher"))
    return ImagesAlone(
        cas=accuracy(answers == labels, confidence),
        balanced_cas=mean_class_accuracy(labels, answers, confidence),
        over_largest=accuracy_over_largest(labels, answers, confidence),
        difference=accuracy_difference(answers == labels, teacher == labels, confidence),
    )


def paired(config: MembershipConfig, evidence: Evidence) -> PairedTest:
    """Return the test whether Student and Teacher are right equally often on the same test images."""
    teacher, student = (evidence.test[model].classes for model in CLASSIFIERS)
    return paired_test(evidence.test_labels, student, teacher, evidence.class_names, config.confidence)


def _auc_difference(config: MembershipConfig, evidence: Evidence) -> Measured:
    for model in CLASSIFIERS:
        if config.scorer not in usable_scorers(evidence, model):
            return NotMeasurable(evidence.why_alone(model))
    score = SCORERS[config.scorer].score
    teacher, student = (score(evidence.signals[model], evidence.members_of(model), 0) for model in CLASSIFIERS)
    return auc_difference(student, teacher, evidence.members[0], config.confidence, evidence.compared_within)


def _difference_of_runs(config: MembershipConfig, evidence: Evidence) -> Measured:
    """Return the mean over runs of the Student's AUC minus the Teacher's."""
    alone = [model for model in CLASSIFIERS if not evidence.has_references(model)]
    if alone or not evidence.independent_runs:
        return NotMeasurable(evidence.why_alone(alone[0]) if alone else "the runs' members were not sampled independently")

    def aucs(model: str, runs: np.ndarray) -> np.ndarray:
        known = evidence.aucs_over_runs.get(model, {}).get(tuple(runs))
        if known is not None:
            return known
        return aucs_of_runs(
            SCORERS[config.scorer], evidence.signals[model][runs], evidence.members[runs], evidence.compared_within
        )

    def differences_of(runs: np.ndarray) -> np.ndarray:
        teacher, student = (aucs(model, runs) for model in CLASSIFIERS)
        return student - teacher

    return mean_over_runs(differences_of(np.arange(len(evidence.members))), differences_of, config.confidence)


def _declared(config: MembershipConfig, evidence: Evidence, of_records: Evidence) -> Declared:
    return Declared(
        unit=of_records.unit,
        num_records=None if of_records.unit == "record" else len(of_records.labels),
        scorer=config.scorer,
        depth=config.depth,
        num_reference_runs=len(evidence.members) - 1,
        num_members=int(evidence.members[0].sum()),
        num_non_members=int((~evidence.members[0]).sum()),
        num_test=len(evidence.test_labels),
        num_queries=num_queries(config.shift, config.flip),
        confidence=config.confidence,
        delta=config.delta,
        aop_lambda=config.aop_lambda,
        family_level=config.family_level,
        rules=RULES,
    )
