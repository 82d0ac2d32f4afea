"""Sentences of the report: the verdict, its meaning, and the origin of its numbers."""

from __future__ import annotations

from tckr.artifacts.agreement import Agreement
from tckr.artifacts.audit import PLAIN, AuditResult, Declared, Differences, SurfaceResult
from tckr.html.numbers import fraction, measured_number, rounded_down, signed, signed_percent
from tckr.membership.coverage import scorer_name
from tckr.membership.largest import no_better_phrase, no_better_sentence
from tckr.membership.rows import SurfaceRow, canary_rows, surface_rows
from tckr.membership.wording import judged_text, judged_units, open_texts, surface_text, why_not_measured
from tckr.membership.worth import worth_phrase, worth_sentences
from tckr.metrics.estimate import NO_DIFFERENCE, TEST_IMAGES, Estimate, Measured, NotMeasurable, no_difference
from tckr.stages.report.copies import copies_headline
from tckr.stages.report.report_json import ClassRow, VerdictText
from tckr.surfaces import surface_title

NO_AGREEMENT: Agreement = {}

RUNS, RECORDS = "reference runs", "records"
"""Units of which there may be too few for a difference of AUCs: runs for the mean, records for the target."""

MAX_FAILED = 5
"""Maximum number of failed controls at the top of the page; the chapter on the audit lists all."""


def headline_of(audit: AuditResult, redrawn: str = "", agreement: Agreement = NO_AGREEMENT) -> VerdictText:
    """Return the verdict in plain words. A failed control comes first; after it, a model that has learned nothing but the
    most frequent class.

    Args:
        audit: result of the audit.
        redrawn: effect of regenerated images on the numbers, empty if there are none.
        agreement: of the Teacher's labels with the prompts.
    """
    state = audit.verdict.state
    unchecked = [_stop(_capital(text)) for text in open_texts(audit.verdict)]
    first = [text for text in [no_better_sentence(audit)] if text]
    phrase = ", ".join(text for text in (no_better_phrase(audit), worth_phrase(agreement)) if text)
    worth = worth_sentences(audit, agreement)
    if state == "invalid":
        return VerdictText(
            state=state,
            headline=_capital(judged_text(audit.verdict)),
            sentences=[*first, *_invalid_sentences(audit), _accuracy_sentence(audit), *worth, *unchecked],
        )
    if state == "not measured":
        sentences = [
            *first,
            _accuracy_sentence(audit),
            *worth,
            f"Privacy was not measured: {_stop(why_not_measured(audit.verdict))} It may be good or bad.",
            *_canary_sentences(audit),
        ]
        headline = _capital(f"{phrase or 'accuracy measured'}, privacy not measured")
        return VerdictText(state=state, headline=headline, sentences=sentences)
    accuracy = [] if no_better_phrase(audit) else [_accuracy_phrase(audit)]
    found = [*([phrase] if phrase else []), _leakage_phrase(audit), *accuracy]
    headline = _capital(", ".join(found))
    leakage = [*_leakage_sentences(audit), *_surface_sentences(surface_rows(audit)), *_canary_sentences(audit)]
    images = [*_copies_sentences(audit), *([f"Redrawn: {redrawn}"] if redrawn else [])]
    return VerdictText(
        state=state, headline=headline, sentences=[*first, _accuracy_sentence(audit), *worth, *leakage, *images, *unchecked]
    )


def origin_of(declared: Declared, measured: bool) -> str:
    """Return the origin of the numbers, shown beside them."""
    level = f"{100 * declared.confidence:g} % intervals"
    if not measured:
        return f"{level}; {declared.num_test:,} test images"
    views = "view" if declared.num_queries == 1 else "views"
    return (
        f"{level}; {declared.num_reference_runs} reference runs, depth {declared.depth}; declared attack "
        f"{scorer_name(declared.scorer)}, {declared.num_queries} {views} per record; {judged_units(declared)}, "
        f"{declared.num_test:,} test images" + _rules(declared)
    )


def _rules(declared: Declared) -> str:
    return f"; audit rules {declared.rules}" if declared.rules else ""


def low_agreement_of(classes: list[ClassRow]) -> list[str]:
    """Return the classes of whose synthetic images the Teacher assigns the majority to other classes."""
    return [row.name for row in classes if row.agreement.value is not None and row.agreement.value < 0.5]


def _invalid_sentences(audit: AuditResult) -> list[str]:
    failed = [control for control in audit.controls if control.decides and not control.passed]
    found = [
        f"Control {control.name} ({surface_title(control.surface)}, {scorer_name(control.measure)}), expected: "
        f"{_stop(control.expected, ';')} found: {control.found}."
        for control in failed[:MAX_FAILED]
    ]
    rest = [f"{len(failed) - MAX_FAILED} more failed, listed below."] if len(failed) > MAX_FAILED else []
    return [
        "The audit failed its own check, so its numbers on privacy are not valid. They are greyed out below; do not quote "
        "them. Accuracy does not depend on them.",
        *found,
        *rest,
    ]


def differences_of(audit: AuditResult) -> Differences:
    """Return Student minus Teacher; audits of given tables have none."""
    return audit.differences or Differences(cas=NotMeasurable("no Teacher and Student in the given tables"))


def _accuracy_phrase(audit: AuditResult) -> str:
    difference = differences_of(audit).cas
    if not isinstance(difference, Estimate):
        return "accuracy not compared"
    if difference.covers(0.0):
        return _undecided(no_difference(difference), "accuracy")
    return f"{'lower' if difference.value < 0 else 'higher'} accuracy"


def _leakage_phrase(audit: AuditResult) -> str:
    difference = differences_of(audit).headline
    if not isinstance(difference, Estimate):
        return "membership leakage not compared"
    if difference.covers(0.0):
        return _undecided(no_difference(difference, _units(audit)), f"membership leakage{_channel(audit)}")
    return f"{'less' if difference.value < 0 else 'more'} membership leakage{_channel(audit)}"


def _undecided(found: str, what: str) -> str:
    return f"{found} in {what}" if found == NO_DIFFERENCE else f"{found} whether {what} differs"


def _units(audit: AuditResult) -> str:
    """Return the unit on which the headline difference of AUCs is based."""
    return RUNS if isinstance(differences_of(audit).auc_over_runs, Estimate) else RECORDS


def _channel(audit: AuditResult) -> str:
    """Return the channel of the Student's measured leakage, if not every channel is measured."""
    return " through labels" if audit.declared.generator_shared else ""


def _accuracy_sentence(audit: AuditResult) -> str:
    teacher, student = audit.surfaces["teacher"], audit.surfaces["student"]
    difference = _in_words(differences_of(audit).cas, "lower", "higher", TEST_IMAGES)
    return (
        f"Accuracy: the Student, trained on no private image, reaches {_value(student.cas)}, the Teacher "
        f"{_value(teacher.cas)}: {difference}."
    )


def _leakage_sentences(audit: AuditResult) -> list[str]:
    scorer = audit.declared.scorer
    teacher, student = (_of_attack(audit.surfaces[name], scorer) for name in ("teacher", "student"))
    if audit.generator_leaks:
        return [
            f"Privacy: {scorer_name(scorer)} finds the Teacher's training records with AUC {_value(teacher)}. The Student's "
            "AUC cannot be given: the shared generator contains information about the target's members, so reference runs "
            "with their own generators are needed (depth full)."
        ]
    if student is None or teacher is None:
        return [
            f"Privacy: {scorer_name(scorer)} finds the Teacher's training records with AUC {_value(teacher)}; "
            f"the Student was not attacked this way at depth {audit.declared.depth}."
        ]
    difference = _in_words(differences_of(audit).headline, "less", "more", _units(audit))
    sentences = [
        f"Privacy: {scorer_name(scorer)}, the attack declared in advance, finds training records of the Teacher with AUC "
        f"{_value(teacher)} and of the Student with {_value(student)}: {difference}. 0.5 is guessing.",
        *_about(audit),
    ]
    return sentences + _shared(audit) + _limit(audit.surfaces["student"])


def _of_attack(surface: SurfaceResult, scorer: str) -> Measured | None:
    """Return the headline number if its attack is the declared one."""
    return surface.headline if surface.attack == scorer else None


def _about(audit: AuditResult) -> list[str]:
    """Return what the two numbers measure, and the numbers of the target only."""
    teacher, student = (audit.surfaces[name] for name in ("teacher", "student"))
    if not teacher.over_runs or not student.over_runs:
        return ["Both numbers are for this one training; another training may leak more or less."]
    return [
        f"Both are means over {teacher.over_runs.n} runs: what training of this kind leaks. The models of this run have "
        f"{_value(teacher.of_target)} and {_value(student.of_target)}."
    ]


def _shared(audit: AuditResult) -> list[str]:
    if not audit.declared.generator_shared:
        return []
    plain = audit.surfaces["student"].auc.get(PLAIN)
    return [
        "The Student's number counts leakage through the labels only, because the reference runs share the generator. "
        f"Without references, a global threshold finds the Student's training records with AUC {plain}."
    ]


def _limit(student: SurfaceResult) -> list[str]:
    if student.state == "leaks":
        return [f"The Student still leaks: {_stop(surface_text(student))}"]
    if student.state == "no measurable leakage":
        return [
            f"No leakage of the Student was measured ({surface_text(student)}): this attack cannot tell its members from "
            "others. A stronger attack might; this is a measurement, not a proof."
        ]
    return []


def _surface_sentences(rows: list[SurfaceRow]) -> list[str]:
    """Return the findings by surface, so that the other surfaces are not overlooked beside the two headline numbers."""
    states = ("leaks", "no measurable leakage", "not measured")
    leaking, silent, unmeasured = ([row.name for row in rows if row.state == state] for state in states)
    sentences = (
        [f"Of all parts that could be released, {_listed(leaking)} measurably {_verb(leaking)} membership."]
        if leaking
        else []
    )
    if silent:
        sentences.append(f"No leakage was measured on {_listed(silent)}: a measurement, not a guarantee.")
    if unmeasured:
        sentences.append(f"Not measured: {_listed(unmeasured)}; their leakage is unknown.")
    return sentences


def _canary_sentences(audit: AuditResult) -> list[str]:
    """Return the largest bound that canaries prove, if there is one."""
    largest = max(canary_rows(audit), key=lambda row: row.bound.value or 0, default=None)
    if largest is None or not largest.bound.value:
        return []
    return [
        f"Canaries: epsilon cannot be below {rounded_down(largest.bound.value)} ({largest.surface}, {largest.kind} "
        "canaries; the largest bound of several, chosen after the fact)."
    ]


def _copies_sentences(audit: AuditResult) -> list[str]:
    if audit.copies is None:
        return []
    headline, excess = copies_headline(audit.copies), audit.copies.excess
    interval = f", {measured_number(excess, signed_percent).text}" if isinstance(excess, Estimate) else ""
    return [f"Copies: {headline[:1].lower() + headline[1:]}{interval}."]


def _listed(names: list[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _verb(names: list[str]) -> str:
    return "leak" if len(names) > 1 or names[0].endswith("s") else "leaks"


def _in_words(difference: Measured | None, less: str, more: str, units: str) -> str:
    if difference is None or isinstance(difference, NotMeasurable):
        return "no difference computed"
    interval = f"[{signed(difference.low)}, {signed(difference.high)}]"
    if difference.covers(0.0):
        return f"{no_difference(difference, units)} {interval}"
    return f"{fraction(abs(difference.value))} {less if difference.value < 0 else more} {interval}"


def _value(measured: Measured | None) -> str:
    return fraction(measured.value) if isinstance(measured, Estimate) else "an unknown value"


def _stop(text: str, mark: str = ".") -> str:
    return text.rstrip(" .") + mark


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
