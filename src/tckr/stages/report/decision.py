"""The first screen: what was done, may it be released, how sure, what is not covered, what it is worth, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tckr.artifacts.audit import AuditResult, Package, State
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.guarantee import Guarantee
from tckr.membership.next_audit import answering_settings, as_arguments
from tckr.membership.packages import packages
from tckr.metrics.estimate import Estimate, no_difference
from tckr.metrics.rounding import rounded
from tckr.stages.report.contents import Decision, NextStep, PackageAnswer
from tckr.stages.report.plain_words import largest_leak, leak_in_words, picks
from tckr.stages.report.wording import differences_of

RUN = "RUN_FOLDER"

CLEAN: State = "no measurable leakage"

ANSWERS: Mapping[State, str] = MappingProxyType({"leaks": "No", "not measured": "Not yet", CLEAN: "No objection found"})

HOLDS = MappingProxyType(
    {
        "Student": "a classifier trained on the synthetic images alone",
        "synthetic images": "the new images, each with its class",
        "images and soft labels": "the same, each with probabilities of all classes",
        "images, soft labels and Student": "all three; what `tckr release` takes by default",
        "images, soft labels and prompts": "the same, with the texts that they were drawn from",
        "adapter": "what the image generator learned from your images",
        "Teacher": "a classifier trained on your images",
    }
)
"""Package -> what it is."""

WHAT = MappingProxyType(
    {
        "images, soft labels and Student": "images labels student",
        "images and soft labels": "images labels",
        "synthetic images": "images",
        "Student": "student",
        "adapter": "adapter",
    }
)
"""Package that `tckr release` makes -> its parts; the first that is allowed is proposed."""

REPAIRS = MappingProxyType(
    {
        "null": "The check null failed: the attack seems to recognise images that nobody trained on. Look for copies, or "
        "for several images of one person, among the images that were used and those that were held back.",
        "positive": "The check positive failed: the attack misses even a model that learned the images by heart. Use more "
        "images, or hold back more of them (prepare.audit_holdout=0.5).",
        "planted": "The check planted failed: the attack misses a leak of known size that was planted.",
        "parity": "The check parity failed: this run is unlike the reference runs that it is compared with.",
    }
)
"""Control -> what its failing means, and what to do."""

SCALE = "of two images, one of yours and one not"


def decision_of(audit: AuditResult, card: DataCard, num_synthetic: int, guarantee: Guarantee | None = None) -> Decision:
    """Return the first screen of a run's report; `guarantee` is that of its adapter."""
    judged = audit.packages or packages({})
    return Decision(
        done=_done(audit, card, num_synthetic),
        answer=_answer(audit, judged),
        scale=_scale(audit),
        packages=[_package(audit, package) for package in judged],
        sure=[*_guaranteed(guarantee), *_sure(audit)],
        not_covered=_not_covered(audit, card, guarantee),
        accuracy=accuracy_sentence(audit),
        next_steps=_next_steps(audit, judged),
    )


def accuracy_sentence(audit: AuditResult) -> str:
    """Return how often the Student is right, and how much worse than the Teacher it may be; needs no attack."""
    teacher, student = (audit.surfaces[name].cas for name in ("teacher", "student"))
    difference = differences_of(audit).cas
    if not isinstance(teacher, Estimate) or not isinstance(student, Estimate) or not isinstance(difference, Estimate):
        return "The accuracy of Teacher and Student was not measured."
    both = (
        f"The Student is right on {_percent(student)} of {audit.declared.num_test:,} real test images that it never saw, "
        f"the Teacher, which learned from your images, on {100 * rounded(teacher).value:.1f} %"
    )
    return f"{both}: {_worst(difference)}."


def _worst(difference: Estimate) -> str:
    """Return the difference in points, and its worst case: the lower end of the interval."""
    points = f"{100 * difference.value:+.1f} points [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    low = 100 * abs(difference.low)
    at_worst = f"at worst {low:.1f} points {'less' if difference.low < 0 else 'more'}"
    found = f"{no_difference(difference)}, " if difference.covers(0.0) else ""
    return f"{found}{points}, {at_worst}".replace("-", "\N{MINUS SIGN}")


def _done(audit: AuditResult, card: DataCard, num_synthetic: int) -> str:
    images = card.num_pool + card.num_validation + card.num_test
    kind = "public" if card.public else "private"
    tested = ", and then tested whether somebody who holds it can tell which images were yours"
    untested = "; nobody has tested yet what it gives away"
    return (
        f"From {images:,} {kind} images of {len(card.class_names)} classes TCKR made {num_synthetic:,} synthetic images "
        f"with labels and a classifier (the Student) that learned from those alone{tested if audit.measured else untested}."
    )


def _answer(audit: AuditResult, judged: Sequence[Package]) -> str:
    if audit.verdict.state == "invalid":
        return "Not yet. The audit failed its own checks, so it can say nothing."
    if not audit.measured:
        return "Not yet. No attack was tried, so nobody knows what it gives away."
    count = {state: sum(package.state == state for package in judged) for state in ANSWERS}
    if count[CLEAN] == len(judged):
        return "No leak was found in any package. That is no proof; the decision is yours."
    if count["not measured"] == len(judged):
        return "Not yet. No package was tested enough."
    said = [
        f"do not release {count['leaks']}" if count["leaks"] else "",
        f"no objection to {count[CLEAN]}" if count[CLEAN] else "",
        f"{count['not measured']} not tested enough" if count["not measured"] else "",
    ]
    return f"Of {len(judged)} packages: {'; '.join(filter(None, said))}."


def _scale(audit: AuditResult) -> str:
    """Return the largest leak in a sentence that also says how the sizes in the table are counted; empty without sizes."""
    if not audit.valid:
        return ""
    largest = largest_leak(audit)
    if largest is None:
        return f"Size of a leak: {SCALE}, how often the attacker picks yours; 50 times of 100 is a coin."
    title, auc = largest
    return f"Largest leak, the {title}: {SCALE}, the attacker picks yours {picks(auc)}; 50 is a coin."


def _package(audit: AuditResult, package: Package) -> PackageAnswer:
    changes = answering_settings(audit, package.deciding) if _open(audit, package) else {}
    return PackageAnswer(
        name=package.name,
        holds=HOLDS.get(package.name, ""),
        state=package.state,
        answer=ANSWERS[package.state],
        leak=leak_in_words(audit, package),
        command=f"tckr audit {RUN} {as_arguments(changes)}" if changes else "",
    )


def _open(audit: AuditResult, package: Package) -> bool:
    return package.state == "not measured" and audit.verdict.state != "invalid"


def _guaranteed(guarantee: Guarantee | None) -> list[str]:
    """Return what a formal guarantee promises, and of what; nothing without one."""
    if guarantee is None:
        return []
    return [
        f"Formal guarantee: ({guarantee.epsilon:.3g}, {guarantee.delta:g}) differential privacy for one {guarantee.unit}. "
        "It covers images with the classes of their prompts, adapter and Student, whatever attack is tried."
    ]


def _sure(audit: AuditResult) -> list[str]:
    declared = audit.declared
    level = f"{100 * declared.confidence:g}"
    brackets = f"Brackets [ ]: {level} of 100 such intervals hold the true number."
    if not audit.measured:
        return ["No attack was tried: on privacy there is nothing to be sure of.", brackets]
    checks = [control for control in audit.controls if control.decides]
    passed = sum(control.passed for control in checks)
    failed = "" if passed == len(checks) else " The numbers on privacy do not count; those on accuracy do."
    return [
        f"{passed} of {len(checks)} checks of the audit itself passed.{failed}",
        brackets,
        f"{declared.num_reference_runs + 1} runs: this one, and {declared.num_reference_runs} on other images to teach the "
        "attacker.",
        *_level(declared.family_level),
    ]


def _level(level: float | None) -> list[str]:
    return (
        []
        if level is None
        else [f"False alarms: where nothing leaks, at most {100 * level:g} of 100 audits say `leaks` at all."]
    )


def _not_covered(audit: AuditResult, card: DataCard, guarantee: Guarantee | None) -> list[str]:
    related = "People or parts with several images: their risk may be higher than shown."
    by_group = bool(card.groups) and audit.declared.unit == "group"
    shared = audit.measured and audit.declared.generator_shared
    through_images = "What the Student learned of yours through the images, which all runs share: its leak may be larger."
    return [
        *([] if by_group else [related]),
        *([through_images] if shared else []),
        "Several releases together, and what others know already.",
        "Attacks that nobody tried: there is no formal guarantee (differential privacy)."
        if guarantee is None
        else "By the formal guarantee: Teacher, captions and this report.",
    ]


def _next_steps(audit: AuditResult, judged: Sequence[Package]) -> list[NextStep]:
    if audit.verdict.state == "invalid":
        return [NextStep(text="Release nothing on the strength of this audit."), *_repair(audit)]
    return [*_measure(audit, judged), *_release(judged), *_mend(judged)]


def _repair(audit: AuditResult) -> list[NextStep]:
    """Return what to do about each kind of control that failed."""
    failed = {control.name for control in audit.controls if control.decides and not control.passed}
    texts = [text for name, text in REPAIRS.items() if name in failed]
    steps = [NextStep(text=f"{text} The chapter audit has the numbers.") for text in texts]
    if failed & {"planted", "parity"}:
        command = f"tckr audit {RUN} audit.num_reference_runs={2 * audit.declared.num_reference_runs}"
        steps.append(NextStep(text="More reference runs make these checks surer:", command=command))
    return steps


def _measure(audit: AuditResult, judged: Sequence[Package]) -> list[NextStep]:
    open_surfaces = [name for package in judged if _open(audit, package) for name in package.deciding]
    changes = answering_settings(audit, open_surfaces)
    if not changes:
        return []
    command = f"tckr audit {RUN} {as_arguments(changes)}"
    return [NextStep(text="Measure the rest. Add --plan to see first how long that takes:", command=command)]


def _release(judged: Sequence[Package]) -> list[NextStep]:
    allowed = [name for name in WHAT if any(package.name == name and package.state == CLEAN for package in judged)]
    if not allowed:
        return []
    command = f"tckr release {RUN} --to FOLDER --license LICENSE --what {WHAT[allowed[0]]} report"
    return [NextStep(text=f"Release what has no objection, {_article(allowed[0])}, with a page to sign:", command=command)]


def _mend(judged: Sequence[Package]) -> list[NextStep]:
    leaking = [package for package in judged if package.state == "leaks"]
    if not leaking:
        return []
    if all(package.deciding == ["teacher"] for package in leaking):
        return [NextStep(text="Do not release the Teacher: it learned from your images.")]
    text = (
        "Do not release what leaks; or train less on single images (fewer adapt.steps and teach.epochs, more images) and "
        "audit again."
    )
    return [NextStep(text=text)]


def _article(name: str) -> str:
    return f"the {name}" if name in ("Student", "adapter") else name


def _percent(share: Estimate) -> str:
    value, low, high = (100 * number for number in (rounded(share).value, rounded(share).low, rounded(share).high))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
