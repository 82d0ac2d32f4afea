"""The audit as it may be shared: every field by name, its numbers rounded to what their intervals support.

The report is made from this result and from nothing else of the audit, so that no page, figure or tooltip knows an exact
number. What is not named here is not shared. `audit.json`, which is private, keeps everything.
"""

from __future__ import annotations

from tckr.artifacts.audit import (
    AuditResult,
    Control,
    Declared,
    Differences,
    FindingReason,
    ImagesAlone,
    LeakTest,
    LeaveOneOut,
    LowFpr,
    OfRecords,
    Package,
    Strongest,
    SurfaceResult,
    Together,
)
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.results import (
    CopiesResult,
    EpsilonBound,
    FidelityResult,
    FidelityScores,
    GaussianBound,
    OneRunBound,
    PairedTest,
)
from tckr.metrics.rounding import (
    bound_below,
    coarse_curve,
    rounded,
    share_step,
    significant,
    stepped_rate,
    stepped_share,
)
from tckr.sharing.allowed_models import shown_model

WITHHELD = NotMeasurable("the numbers of all classes together would tell single records; they stand in audit.json")

SUM = NotMeasurable("a sum over the non-members would tell who they are; it stands in audit.json")

Bounds = dict[str, OneRunBound | NotMeasurable]


def shareable_audit(audit: AuditResult) -> AuditResult:
    """Return the audit without exact curves and counts, lists of records and images, and names of private models."""
    declared = audit.declared
    return AuditResult(
        verdict=audit.verdict,
        declared=declared,
        surfaces={name: _surface(surface, declared) for name, surface in audit.surfaces.items()},
        largest_class=audit.largest_class,
        images_alone=_images_alone(audit.images_alone),
        differences=_differences(audit.differences),
        paired=_paired(audit.paired),
        fidelity=_fidelity(audit.fidelity),
        controls=[_control(control) for control in audit.controls],
        packages=[_package(package) for package in audit.packages],
        copies=_copies(audit.copies),
        canaries={surface: _bounds(bounds) for surface, bounds in audit.canaries.items()},
    )


def shown(measured: Measured) -> Measured:
    """Return a measurement with the digits that its interval supports."""
    return rounded(measured) if isinstance(measured, Estimate) else measured


def _optional(measured: Measured | None) -> Measured | None:
    return None if measured is None else shown(measured)


def _each(measured: dict[str, Measured]) -> dict[str, Measured]:
    return {name: shown(value) for name, value in measured.items()}


def _surface(surface: SurfaceResult, declared: Declared) -> SurfaceResult:
    """Leave out the confusion matrix, balanced accuracy and the AUC of each class: many exact counts of few records."""
    return SurfaceResult(
        cas=shown(surface.cas),
        per_class=_accuracies(surface, declared),
        balanced_cas=_optional(surface.balanced_cas),
        over_largest=_optional(surface.over_largest),
        ece=_optional(surface.ece),
        brier=_optional(surface.brier),
        nll=_optional(surface.nll),
        signal=surface.signal,
        attack=surface.attack,
        state=surface.state,
        reasons=[_reason(reason) for reason in surface.reasons],
        aop=_optional(surface.aop),
        strongest=_strongest(surface.strongest),
        auc=_each(surface.auc),
        other_signals={signal: _each(aucs) for signal, aucs in surface.other_signals.items()},
        leave_one_out={scorer: _leave_one_out(each) for scorer, each in surface.leave_one_out.items()},
        tpr={scorer: _rates(rates, declared) for scorer, rates in surface.tpr.items()},
        low_fpr={rate: _low_fpr(found, rate, declared) for rate, found in surface.low_fpr.items()},
        epsilon_lower_bound=_epsilon(surface.epsilon_lower_bound),
        mu_lower_bound=_mu(surface.mu_lower_bound),
        of_records=_of_records(surface.of_records),
        auc_by_class=dict.fromkeys(surface.auc_by_class, WITHHELD),
        roc={
            scorer: coarse_curve(points, declared.num_members, declared.num_non_members)
            for scorer, points in surface.roc.items()
        },
    )


def _of_records(found: OfRecords | None) -> OfRecords | None:
    if found is None:
        return None
    runs = found.leave_one_out
    return OfRecords(auc=shown(found.auc), leave_one_out=None if runs is None else _leave_one_out(runs))


def _reason(reason: FindingReason) -> FindingReason:
    """Round the numbers of a finding as its sentence does."""
    return FindingReason(
        kind=reason.kind,
        found=_optional(reason.found),
        attack=reason.attack,
        signal=reason.signal,
        canaries=reason.canaries,
        epsilon=None if reason.epsilon is None else bound_below(reason.epsilon),
        p_value=None if reason.p_value is None else _one_digit(reason.p_value),
        level=reason.level,
        detectable_auc=None if reason.detectable_auc is None else round(reason.detectable_auc, 2),
    )


def _one_digit(p_value: float) -> float:
    return 0.0 if p_value < 0.001 else significant(p_value, 1)


def _accuracies(surface: SurfaceResult, declared: Declared) -> dict[str, Measured]:
    """Return the accuracy of each class in steps from that of all classes: another one only where they differ measurably."""
    overall = shown(surface.cas)
    origin = overall.value if isinstance(overall, Estimate) else 0.0
    return {
        name: stepped_share(value, share_step(value.n), declared.confidence, origin=origin)
        for name, value in surface.per_class.items()
    }


def _rates(rates: dict[str, Measured], declared: Declared) -> dict[str, Measured]:
    sizes = {"num_members": declared.num_members, "num_others": declared.num_non_members}
    return {rate: stepped_rate(value, float(rate), declared.confidence, **sizes) for rate, value in rates.items()}


def _low_fpr(found: LowFpr, rate: str, declared: Declared) -> LowFpr:
    """Round what is about all runs as means over runs are, and the target's own rate as its other rates are."""
    return LowFpr(
        tpr=shown(found.tpr),
        tpr_of_target=_rates({rate: found.tpr_of_target}, declared)[rate],
        ppv=_each(found.ppv),
    )


def _strongest(strongest: Strongest | None) -> Strongest | None:
    if strongest is None:
        return None
    return Strongest(
        signal=strongest.signal,
        scorer=strongest.scorer,
        auc=shown(strongest.auc),
        aop=shown(strongest.aop),
        note=strongest.note,
    )


def _leave_one_out(found: LeaveOneOut) -> LeaveOneOut:
    value = None if found.value is None else round(found.value, 2)
    return LeaveOneOut(value=value, mean=shown(found.mean), spread=significant(found.spread), runs=[])


def _epsilon(bound: EpsilonBound | None) -> EpsilonBound | None:
    if bound is None:
        return None
    return EpsilonBound(
        value=bound_below(bound.value),
        confidence=bound.confidence,
        delta=bound.delta,
        threshold=None,
        true_positives=None,
        false_positives=None,
        num_members=bound.num_members,
        num_non_members=bound.num_non_members,
        method=bound.method,
    )


def _mu(bound: GaussianBound | None) -> GaussianBound | None:
    if bound is None:
        return None
    return GaussianBound(
        mu=bound_below(bound.mu),
        epsilon=None if bound.epsilon is None else bound_below(bound.epsilon),
        confidence=bound.confidence,
        delta=bound.delta,
        n=bound.n,
        method=bound.method,
        assumes=bound.assumes,
    )


def _images_alone(found: ImagesAlone | None) -> ImagesAlone | None:
    if found is None:
        return None
    return ImagesAlone(
        cas=shown(found.cas),
        balanced_cas=shown(found.balanced_cas),
        over_largest=shown(found.over_largest),
        difference=shown(found.difference),
    )


def _differences(found: Differences | None) -> Differences | None:
    if found is None:
        return None
    return Differences(cas=shown(found.cas), auc=_optional(found.auc), auc_over_runs=_optional(found.auc_over_runs))


def _paired(test: PairedTest | None) -> PairedTest | None:
    if test is None:
        return None
    return PairedTest(
        num_test=test.num_test,
        both_right=None,
        only_student=None,
        only_teacher=None,
        both_wrong=None,
        difference=shown(test.difference),
        p_value=significant(test.p_value, 1),
        by_class={},
    )


def _fidelity(found: FidelityResult | None) -> FidelityResult | None:
    if found is None:
        return None
    synthetic, holdout = (
        FidelityScores(
            fid=shown(scores.fid),
            kid=shown(scores.kid),
            precision=shown(scores.precision),
            recall=shown(scores.recall),
            density=shown(scores.density),
            coverage=shown(scores.coverage),
        )
        for scores in (found.synthetic, found.holdout)
    )
    features = found.features if found.features == "Teacher" else shown_model(found.features)
    return FidelityResult(
        features=features,
        dimensions=found.dimensions,
        num_images=found.num_images,
        synthetic=synthetic,
        holdout=holdout,
    )


def _control(control: Control) -> Control:
    """Leave out what parity found: the mean of a released model's answers over the non-members tells who they are."""
    return Control(
        name=control.name,
        surface=control.surface,
        signal=control.signal,
        measure=control.measure,
        passed=control.passed,
        decides=control.decides,
        expected=control.expected,
        found=SUM if control.name == "parity" and isinstance(control.found, Estimate) else shown(control.found),
    )


def _package(package: Package) -> Package:
    return Package(
        name=package.name,
        exposes=package.exposes,
        state=package.state,
        deciding=package.deciding,
        reasons=[_reason(reason) for reason in package.reasons],
        together=_together(package.together),
    )


def _together(found: Together | None) -> Together | None:
    """Leave out the p-value of this attack alone; the one that counts the whole audit has one digit."""
    if found is None:
        return None
    p_value = _one_digit(found.test.family_p_value)
    return Together(
        surfaces={name: round(share, 1) for name, share in found.surfaces.items()},
        auc=shown(found.auc),
        test=LeakTest(name=found.test.name, attack=found.test.attack, p_value=p_value, family_p_value=p_value),
    )


def _copies(found: CopiesResult | None) -> CopiesResult | None:
    """Leave out the list of flagged images and all distances: a released image on that list is a training record."""
    if found is None:
        return None
    return CopiesResult(
        excess=shown(found.excess),
        near_member=shown(found.near_member),
        near_holdout=shown(found.near_holdout),
        closer=shown(found.closer),
        threshold=None,
        quantile=found.quantile,
        num_synthetic=found.num_synthetic,
        num_members=found.num_members,
        num_holdout=found.num_holdout,
        num_flagged=int(significant(found.num_flagged)),
        num_mirrored=int(significant(found.num_mirrored)),
    )


def _bounds(bounds: Bounds) -> Bounds:
    return {kind: _one_run(bound) for kind, bound in bounds.items()}


def _one_run(bound: OneRunBound | NotMeasurable) -> OneRunBound | NotMeasurable:
    if isinstance(bound, NotMeasurable):
        return bound
    return OneRunBound(
        value=bound_below(bound.value),
        confidence=bound.confidence,
        delta=bound.delta,
        num_canaries=bound.num_canaries,
        guesses=bound.guesses,
        correct=None,
        method=bound.method,
        assumes=bound.assumes,
        gaussian=_mu(bound.gaussian),
    )
