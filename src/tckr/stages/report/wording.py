"""The sentences of the report: what a verdict means, what the numbers cover, what each measure does not say."""

from __future__ import annotations

from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.results import AuditResult, Declared
from tckr.stages.report.contents import ClassRow, State, Verdict
from tckr.stages.report.numbers import NO_DIFFERENCE, fraction, signed

ATTACKS = {"lira": "LiRA", "rmia": "RMIA", "bavaria": "BaVarIA"}

COVERAGE = {
    "teacher": [
        "Covered: the Teacher. Each reference run retrained the Teacher with another draw of members, so the "
        "Teacher's number is a full attack.",
        "Weakly covered: the Student. There are no reference Students at this depth, so only a global threshold "
        "attacks it; its numbers are a lower bound from a weak attacker. Depth distill attacks it fully.",
        "Not covered: captions, adapter, synthetic images and soft labels. Nobody attacked them here.",
    ],
    "distill": [
        "Covered: Teacher and Student. Each reference run retrained the Teacher, relabelled the synthetic images and "
        "retrained the Student, with another draw of members.",
        "Shared, therefore not covered: the generator. All runs use the same captions, adapter and synthetic images. "
        "What the generator learned about a member and passes on through the images does not show in the attacks with "
        "references, nor in AOP: references with the same images take it for a property of the record. The attack without "
        "references does not take it away, but is weak.",
        "Not covered: releasing captions, adapter, synthetic images or soft labels themselves. Nobody attacked them here.",
    ],
}

GLOSSARY = {
    "CAS": (
        "Classification accuracy score: accuracy of a classifier on the locked real test split. For the Student, "
        "which trained on synthetic images alone, it says how much of the task those images carry. It does not say "
        "that the images look right, nor how the classifier behaves on other data."
    ),
    "Membership AUC": (
        "Probability that the attack ranks a random training record above a random record that the model never saw; "
        "0.5 is guessing, 1 is certainty. It is an average over records: it does not say that the most exposed person "
        "is safe."
    ),
    "TPR at low FPR": (
        "Share of the training records that the attack names when it may be wrong about so few of the others (0.1 to "
        "10 %). It shows the few records that stand out; it does not say which ones, and with few non-members it "
        "cannot be measured at all."
    ),
    "AOP": (
        "Accuracy over privacy: CAS / (2 max(AUC, 0.5))^lambda with the declared attack. It ranks models that pay "
        "accuracy for privacy; it is not a probability, and it does not mean that a high value is private."
    ),
    "Epsilon lower bound": (
        "At the stated confidence and delta, no (epsilon, delta) guarantee below this value can hold for the model. "
        "It is a floor found by one attack: 0 does not prove differential privacy, and nothing here is a guarantee."
    ),
    "ECE": (
        "Expected calibration error: mean gap between stated confidence and accuracy. It does not say that any one "
        "prediction is right."
    ),
    "Declared attack": (
        "The scorer fixed before anything was trained; its AUC goes into AOP. It is not the strongest found "
        "afterwards, which is printed apart because choosing it on the same records favours the attacker."
    ),
    "Reference run": (
        "The same pipeline with another random draw of training records. It shows the attack what members and "
        "non-members look like; it is not a copy of the target's training set."
    ),
}


def scorer_name(scorer: str) -> str:
    """Return a scorer's identifier as a reader knows it: `lira_online_fixed_variance` as `LiRA online, fixed variance`."""
    first, *rest = scorer.removesuffix("_fixed_variance").split("_")
    suffix = ", fixed variance" if scorer.endswith("_fixed_variance") else ""
    return " ".join([ATTACKS.get(first, first), *rest]) + suffix


def state_of(audit: AuditResult) -> State:
    """Return which of the three cases an audit is."""
    if not audit.measured:
        return "not measured"
    return "valid" if audit.valid else "invalid"


def verdict_of(audit: AuditResult) -> Verdict:
    """Return the verdict in plain words. A failed control comes before every number."""
    state = state_of(audit)
    if state == "invalid":
        return Verdict(state=state, headline=_capital(audit.verdict), sentences=_invalid_sentences(audit))
    if state == "not measured":
        reason = audit.reason or "the audit gave no reason"
        sentences = [
            _accuracy_sentence(audit),
            f"Privacy was not measured: {_stop(reason)} Nothing here says that it is good.",
        ]
        return Verdict(state=state, headline="Accuracy measured, privacy not measured", sentences=sentences)
    unchecked = [_stop(_capital(text)) for text in audit.verdict.split("; ")[1:]]
    headline = _capital(f"{_leakage_phrase(audit)}, {_accuracy_phrase(audit)}")
    return Verdict(
        state=state, headline=headline, sentences=[_accuracy_sentence(audit), *_leakage_sentences(audit), *unchecked]
    )


def origin_of(declared: Declared, measured: bool) -> str:
    """Return where the numbers come from, to stand beside them."""
    level = f"{100 * declared.confidence:g} % intervals"
    if not measured:
        return f"{level}; {declared.num_test:,} test images"
    views = "view" if declared.num_queries == 1 else "views"
    return (
        f"{level}; {declared.num_reference_runs} reference runs, depth {declared.depth}; declared attack "
        f"{scorer_name(declared.scorer)}, {declared.num_queries} {views} per record; {declared.num_members:,} members, "
        f"{declared.num_non_members:,} non-members, {declared.num_test:,} test images"
    )


def low_agreement_of(classes: list[ClassRow]) -> list[str]:
    """Return the classes whose synthetic images the Teacher takes for another class more often than not."""
    return [row.name for row in classes if row.agreement.value is not None and row.agreement.value < 0.5]


def coverage_of(audit: AuditResult) -> list[str]:
    """Return what the privacy numbers cover and what they do not."""
    if not audit.measured:
        return ["Nothing: membership was not measured, so no release surface has a privacy number."]
    depth = audit.declared.depth
    return COVERAGE.get(
        depth, [f"Depth {depth}: every step that depends on the members was repeated for each reference run."]
    )


def _invalid_sentences(audit: AuditResult) -> list[str]:
    failed = [control for control in audit.controls if control.decides and not control.passed]
    found = [
        f"Control {control.name} ({control.surface}), expected: {_stop(control.expected, ';')} found: {control.found}."
        for control in failed
    ]
    return [
        "The audit failed its own check, so its numbers mean nothing. They are greyed out below; do not quote them.",
        *found,
    ]


def _accuracy_phrase(audit: AuditResult) -> str:
    difference = audit.differences.cas
    if not isinstance(difference, Estimate) or difference.covers(0.0):
        return "no measurable difference in accuracy"
    return f"{'lower' if difference.value < 0 else 'higher'} accuracy"


def _leakage_phrase(audit: AuditResult) -> str:
    difference = audit.differences.auc
    if not isinstance(difference, Estimate):
        return "membership leakage not compared"
    if difference.covers(0.0):
        return f"no measurable difference in membership leakage{_channel(audit)}"
    return f"{'less' if difference.value < 0 else 'more'} membership leakage{_channel(audit)}"


def _channel(audit: AuditResult) -> str:
    """Return what the Student's leakage is measured through, where that is not everything."""
    return " through labels" if audit.declared.generator_shared else ""


def _accuracy_sentence(audit: AuditResult) -> str:
    teacher, student = audit.surfaces["teacher"], audit.surfaces["student"]
    difference = _in_words(audit.differences.cas, "lower", "higher")
    return (
        f"Accuracy: the Student, which never saw a private image, reaches {_value(student.cas)}, the Teacher "
        f"{_value(teacher.cas)}: {difference}."
    )


def _leakage_sentences(audit: AuditResult) -> list[str]:
    scorer = audit.declared.scorer
    teacher, student = (audit.surfaces[name].auc.get(scorer) for name in ("teacher", "student"))
    if audit.generator_leaks:
        return [
            f"Privacy: {scorer_name(scorer)} finds the Teacher's training records with AUC {_value(teacher)}. The Student's "
            "number cannot be given: the shared generator carries information about the target's members, so it needs "
            "reference runs with a generator of their own (depth full)."
        ]
    if student is None or teacher is None:
        return [
            f"Privacy: {scorer_name(scorer)} finds the Teacher's training records with AUC {_value(teacher)}; "
            f"the Student was not attacked this way at depth {audit.declared.depth}."
        ]
    difference = _in_words(audit.differences.auc, "less", "more")
    sentences = [
        f"Privacy: {scorer_name(scorer)}, the attack declared in advance, finds training records of the Teacher with AUC "
        f"{_value(teacher)} and of the Student with {_value(student)}: {difference}. 0.5 is guessing."
    ]
    return sentences + _shared(audit) + _limit(student)


def _shared(audit: AuditResult) -> list[str]:
    if not audit.declared.generator_shared:
        return []
    plain = audit.surfaces["student"].auc.get("global_threshold")
    return [
        "The Student's number counts leakage through the soft labels only, for the reference runs share the generator. "
        f"Without references, a global threshold finds the Student's training records with AUC {plain}."
    ]


def _limit(auc: Measured) -> list[str]:
    if not isinstance(auc, Estimate):
        return []
    if auc.covers(0.5):
        return [
            "The Student's interval contains 0.5: this attack cannot tell its members from others. A stronger one might; "
            "this is a measurement, not a proof."
        ]
    if auc.low > 0.5:
        return ["The Student still leaks: its interval lies above 0.5."]
    return []


def _in_words(difference: Measured | None, less: str, more: str) -> str:
    if difference is None or isinstance(difference, NotMeasurable):
        return "no difference computed"
    interval = f"[{signed(difference.low)}, {signed(difference.high)}]"
    if difference.covers(0.0):
        return f"{NO_DIFFERENCE} {interval}"
    return f"{fraction(abs(difference.value))} {less if difference.value < 0 else more} {interval}"


def _value(measured: Measured | None) -> str:
    return fraction(measured.value) if isinstance(measured, Estimate) else "an unknown value"


def _stop(text: str, mark: str = ".") -> str:
    return text.rstrip(" .") + mark


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
