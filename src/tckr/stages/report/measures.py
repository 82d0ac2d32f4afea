"""Rows of the report from the audit's result: Teacher beside Student, overall and by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tckr.artifacts.agreement import Agreement, ClassAgreement
from tckr.artifacts.audit import PLAIN, AuditResult, SurfaceResult
from tckr.artifacts.data_card import DataCard
from tckr.html.numbers import bound_number, difference_number, fraction, measured_number, percent, plain
from tckr.membership.coverage import scorer_name
from tckr.membership.largest import largest_note
from tckr.membership.rows import absent_reason
from tckr.metrics.estimate import TEST_IMAGES, Estimate, Measured
from tckr.stages.report.headline import RECORDS, RUNS, differences_of
from tckr.stages.report.report_json import Change, ClassRow, Comparison, Direction, Number

SPACE = "\N{NO-BREAK SPACE}"

FPRS = {"0.1": f"10{SPACE}%", "0.01": f"1{SPACE}%", "0.001": f"0.1{SPACE}%"}


class Wording(NamedTuple):
    """Title, note and direction of a row of the headline table."""

    key: str
    name: str
    note: str
    better: Direction


def headline_rows(audit: AuditResult) -> list[Comparison]:
    """Return accuracy, balanced accuracy, declared AUC over runs and of the target, AUC without references, TPR at two
    FPRs and over runs, AOP and the epsilon bound.
    """
    return [
        accuracy_row(audit),
        balanced_row(audit),
        auc_row(audit),
        target_auc_row(audit),
        plain_auc_row(audit),
        tpr_row(audit, "0.01"),
        tpr_row(audit, "0.001"),
        tpr_of_runs_row(audit, "0.001"),
        aop_row(audit),
        epsilon_row(audit),
    ]


def accuracy_row(audit: AuditResult) -> Comparison:
    """Return CAS with its paired difference; the only row that needs no attack."""
    note = "; ".join(text for text in ("CAS", largest_note(audit)) if text)
    wording = Wording("accuracy", "Accuracy on real test images", note, "higher")
    row = _row(audit, wording, lambda surface: measured_number(surface.cas))
    return _with_difference(row, differences_of(audit).cas, TEST_IMAGES).model_copy(update={"membership": False})


def balanced_row(audit: AuditResult) -> Comparison:
    """Return the mean accuracy over classes, which predicting only the largest class does not increase."""
    wording = Wording("balanced_accuracy", "Balanced accuracy", "mean of the accuracy on each class", "higher")
    row = _row(audit, wording, lambda surface: measured_number(surface.balanced_cas))
    return row.model_copy(update={"membership": False})


def auc_row(audit: AuditResult) -> Comparison:
    """Return the mean AUC of the declared attack over runs with its paired difference: leakage of training of this kind."""
    scorer = audit.declared.scorer
    note = f"AUC of {scorer_name(scorer)}, mean over runs: what training of this kind leaks; 0.5 is guessing"
    row = _row(
        audit,
        Wording("auc", "Membership attack", note, "lower"),
        lambda surface: measured_number(_over_runs(surface, scorer), absent=absent_reason(audit, surface)),
    )
    return _with_difference(row, differences_of(audit).auc_over_runs, RUNS)


def target_auc_row(audit: AuditResult) -> Comparison:
    """Return the AUC of the declared attack on the target with its paired difference: leakage of this one model."""
    scorer = audit.declared.scorer
    note = f"AUC of {scorer_name(scorer)} on this one model and its records; another training gives another number"
    row = _row(
        audit,
        Wording("auc_of_target", "The same, this model alone", note, "lower"),
        lambda surface: measured_number(surface.auc.get(scorer), absent=absent_reason(audit, surface)),
    )
    return _with_difference(row, differences_of(audit).auc, RECORDS)


def _over_runs(surface: SurfaceResult, scorer: str) -> Measured | None:
    return surface.leave_one_out[scorer].mean if scorer in surface.leave_one_out else None


def plain_auc_row(audit: AuditResult) -> Comparison:
    """Return the AUC of the attack without reference runs, which also detects leakage through a shared generator."""
    wording = Wording("auc_plain", "Attack without references", f"AUC of {scorer_name(PLAIN)}, 0.5 is guessing", "lower")
    return _row(audit, wording, lambda surface: measured_number(surface.auc.get(PLAIN), absent=absent_reason(audit)))


def tpr_row(audit: AuditResult, fpr: str) -> Comparison:
    """Return the declared attack's TPR at one FPR, in percent."""
    scorer = audit.declared.scorer
    wording = Wording(f"tpr_at_{fpr}", f"Members found at {FPRS[fpr]} false alarms", f"TPR at FPR {FPRS[fpr]}", "lower")
    return _row(
        audit,
        wording,
        lambda surface: measured_number(surface.tpr.get(scorer, {}).get(fpr), percent, absent_reason(audit, surface)),
    )


def tpr_of_runs_row(audit: AuditResult, fpr: str) -> Comparison:
    """Return the declared attack's TPR at one FPR over all runs, in percent; together they have enough non-members."""
    note = f"TPR at FPR {FPRS[fpr]}, mean over runs, thresholds from other runs"
    wording = Wording(f"tpr_over_runs_at_{fpr}", f"The same at {FPRS[fpr]}, over all runs", note, "lower")

    def number_of(surface: SurfaceResult) -> Number:
        found = surface.low_fpr.get(fpr)
        return measured_number(found.tpr if found else None, percent, absent_reason(audit, surface))

    return _row(audit, wording, number_of)


def aop_row(audit: AuditResult) -> Comparison:
    """Return AOP with the declared attack."""
    wording = Wording("aop", "Accuracy over privacy", "AOP", "higher")
    return _row(audit, wording, lambda surface: measured_number(surface.aop, absent=absent_reason(audit)))


def epsilon_row(audit: AuditResult) -> Comparison:
    """Return the lower bound on epsilon with its conditions."""
    declared = audit.declared
    conditions = f"{100 * declared.confidence:g} % confidence, delta {plain(declared.delta)}"
    wording = Wording("epsilon", "Epsilon lower bound", conditions, "lower")
    return _row(audit, wording, lambda surface: bound_number(surface.epsilon_lower_bound, absent_reason(audit, surface)))


def class_rows(audit: AuditResult, card: DataCard, agreement: Agreement, synthetic: Mapping[str, int]) -> list[ClassRow]:
    """Return one row per class, in label order; `synthetic` is the number of images by class name."""
    return [
        _class_row(
            audit,
            name,
            num_test=card.counts.get(name, {}).get("test", 0),
            num_synthetic=synthetic.get(name, 0),
            agreement=_agreement_of(agreement.get(name)),
        )
        for name in card.class_names
    ]


def agreement_number(n: int, agree: int) -> Number:
    """Return the share of n synthetic images whose class the Teacher confirms; a complete count, so without an interval."""
    if not n:
        return Number(text="\N{EN DASH}", reason="no synthetic image")
    return Number(text=fraction(agree / n), value=agree / n, n=n, method="share of all synthetic images")


def _agreement_of(found: ClassAgreement | None) -> Number:
    return agreement_number(found.n, found.agree) if found else agreement_number(0, 0)


def _class_row(audit: AuditResult, name: str, *, num_test: int, num_synthetic: int, agreement: Number) -> ClassRow:
    teacher, student = audit.surfaces["teacher"], audit.surfaces["student"]
    return ClassRow(
        name=name,
        num_test=num_test,
        teacher_accuracy=measured_number(teacher.per_class.get(name)),
        student_accuracy=measured_number(student.per_class.get(name)),
        difference=difference_number(audit.paired.by_class.get(name)) if audit.paired else None,
        teacher_auc=measured_number(teacher.auc_by_class.get(name), absent=absent_reason(audit, teacher)),
        student_auc=measured_number(student.auc_by_class.get(name), absent=absent_reason(audit, student)),
        agreement=agreement,
        num_synthetic=num_synthetic,
    )


def _row(audit: AuditResult, wording: Wording, number_of: Callable[[SurfaceResult], Number]) -> Comparison:
    if audit.declared.generator_shared and wording.key not in ("accuracy", "balanced_accuracy", "auc_plain"):
        wording = wording._replace(note=f"{wording.note}; Student: through labels only, generator shared")
    teacher, student = (number_of(audit.surfaces[surface]) for surface in ("teacher", "student"))
    return Comparison(**wording._asdict(), membership=True, teacher=teacher, student=student)


def _with_difference(row: Comparison, difference: Measured | None, units: str) -> Comparison:
    return row.model_copy(update={"difference": difference_number(difference, units), "change": _change(row, difference)})


def _change(row: Comparison, difference: Measured | None) -> Change:
    if not isinstance(difference, Estimate):
        return "unknown"
    if difference.covers(0.0):
        return "none"
    return "better" if (difference.value > 0) == (row.better == "higher") else "worse"
