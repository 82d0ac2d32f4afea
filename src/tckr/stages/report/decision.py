"""The first screen: what was done, whether it may be released, how sure that is, its limits, accuracy and next steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tckr.artifacts.audit import AuditResult, Package, State
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.guarantee import SPENT_AGAIN, Guarantee
from tckr.membership.next_audit import answering_settings, as_arguments, repeats_run
from tckr.membership.packages import packages
from tckr.membership.refutation import accounting_text, promise_text, refutation_text
from tckr.metrics.estimate import Estimate, no_difference
from tckr.metrics.rounding import rounded
from tckr.stages.report.headline import differences_of
from tckr.stages.report.leads import label_sense
from tckr.stages.report.plain_words import largest_leak, leak_in_words, picks
from tckr.stages.report.report_json import Decision, NextStep, PackageAnswer
from tckr.surfaces import surface_title

RUN = "RUN_FOLDER"

CLEAN: State = "no measurable leakage"

ANSWERS: Mapping[State, str] = MappingProxyType({"leaks": "No", "not measured": "Not yet", CLEAN: "No objection found"})

HOLDS = MappingProxyType(
    {
        "Student": "a classifier trained only on the synthetic images",
        "synthetic images": "the new images, each with its class",
        "images and soft labels": "the same, each with {label}",
        "images, soft labels and Student": "all three; what `tckr release` takes by default",
        "images, soft labels and prompts": "the same, with the texts they were generated from",
        "adapter": "what the image generator learned from your images",
        "Teacher": "a classifier trained on your images",
    }
)
"""Package -> explanation."""

WHAT = MappingProxyType(
    {
        "images, soft labels and Student": "images labels student",
        "images and soft labels": "images labels",
        "synthetic images": "images",
        "Student": "student",
        "adapter": "adapter",
    }
)
"""Package -> parts for `tckr release`; the first allowed package is proposed."""

REPAIRS = MappingProxyType(
    {
        "null": "The check null failed: the attack seems to recognise images that no model was trained on. "
        "Look for copies, or for several images of one person, in both the used and the held-back images.",
        "positive": "The check positive failed: the attack misses even a model that learned the images by heart. Use more "
        "images, or hold back more of them (prepare.audit_holdout=0.5).",
        "planted": "The check planted failed: the attack misses an artificial leak of known size. With fewer than about 50 "
        "images in the audit, only more images help.",
        "parity": "The check parity failed: this run differs from the reference runs that it is compared with.",
    }
)
"""Control -> meaning of its failure, and what to do."""

SCALE = "of two images, one of yours and one not"


def decision_of(audit: AuditResult, card: DataCard, num_synthetic: int, guarantee: Guarantee | None = None) -> Decision:
    """Return the first screen of a run's report; `guarantee` is the formal guarantee of its adapter, if any."""
    judged = audit.packages or packages({})
    return Decision(
        done=_done(audit, card, num_synthetic),
        answer=_answer(audit, judged, guarantee),
        scale=_scale(audit),
        packages=[_package(audit, package, guarantee) for package in judged],
        sure=[*_guaranteed(audit, guarantee), *_sure(audit, guaranteed=guarantee is not None)],
        not_covered=_not_covered(audit, card, guarantee),
        accuracy=accuracy_sentence(audit),
        next_steps=[*_next_steps(audit, judged, guarantee), *_cost_of(audit, guarantee)],
    )


def accuracy_sentence(audit: AuditResult) -> str:
    """Return the Student's accuracy and how much worse than the Teacher it may be."""
    teacher, student = (audit.surfaces[name].cas for name in ("teacher", "student"))
    difference = differences_of(audit).cas
    if not isinstance(teacher, Estimate) or not isinstance(student, Estimate) or not isinstance(difference, Estimate):
        return "The accuracy of Teacher and Student was not measured."
    both = (
        f"The Student is right on {_percent(student)} of {audit.declared.num_test:,} real test images that are new to it, "
        f"the Teacher, which was trained on your images, on {100 * rounded(teacher).value:.1f} %"
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
    tested = ", then tested whether an attacker who has them can tell which images were yours"
    untested = "; their privacy was not tested yet"
    return (
        f"From {images:,} {kind} images of {len(card.class_names)} classes TCKR generated {num_synthetic:,} "
        "synthetic images with labels and trained a classifier (the Student) only on "
        f"those{tested if audit.measured else untested}."
    )


def _answer(audit: AuditResult, judged: Sequence[Package], guarantee: Guarantee | None) -> str:
    if audit.refuted:
        return "No. The formal guarantee is refuted: somewhere less noise is added than it promises."
    if audit.verdict.state == "invalid":
        return "Not yet. The audit failed its own checks, so its result is not valid."
    if not audit.measured:
        unknown = "so it is unknown what a release reveals"
        limited = "so only the formal guarantee limits what a release reveals"
        return f"Not yet. {_tried(audit)}, {limited if guarantee else unknown}."
    count = {state: sum(package.state == state for package in judged) for state in ANSWERS}
    if count[CLEAN] == len(judged):
        return "No leak was found in any package. This is not a proof; the decision is yours."
    if count["not measured"] == len(judged):
        return "Not yet. No package was tested enough."
    said = [
        f"do not release {count['leaks']}" if count["leaks"] else "",
        f"no objection to {count[CLEAN]}" if count[CLEAN] else "",
        f"{count['not measured']} not tested enough" if count["not measured"] else "",
    ]
    return f"Of {len(judged)} packages: {'; '.join(filter(None, said))}."


def _tried(audit: AuditResult) -> str:
    """Return what was attacked where membership was not measured."""
    return "Only canaries were attacked" if audit.canaries else "No attack was tried"


def _scale(audit: AuditResult) -> str:
    """Return the largest leak and how the sizes in the table are counted; empty if there are no sizes."""
    if not audit.valid:
        return ""
    largest = largest_leak(audit)
    if largest is None:
        return f"Size of a leak: {SCALE}, how often the attacker picks yours; 50 times of 100 is guessing."
    title, auc = largest
    return f"Largest leak, the {title}: {SCALE}, the attacker picks yours {picks(auc)}; 50 is guessing."


def _package(audit: AuditResult, package: Package, guarantee: Guarantee | None) -> PackageAnswer:
    changes = answering_settings(audit, package.deciding) if _open(audit, package) else {}
    if guarantee and repeats_run(changes):
        changes = {}  # "What next?" has the command, and what it costs
    return PackageAnswer(
        name=package.name,
        holds=HOLDS.get(package.name, "").format(label=label_sense(guarantee)),
        state=package.state,
        answer=ANSWERS[package.state],
        leak=leak_in_words(audit, package) + _doubt(audit, package),
        command=f"tckr audit {RUN} {as_arguments(changes)}" if changes else "",
    )


def _doubt(audit: AuditResult, package: Package) -> str:
    blind = package.state == CLEAN and not set(package.deciding).isdisjoint(_inconclusive(audit))
    return " Not conclusive: see below." if blind else ""


def _open(audit: AuditResult, package: Package) -> bool:
    return package.state == "not measured" and audit.verdict.state != "invalid"


def _guaranteed(audit: AuditResult, guarantee: Guarantee | None) -> list[str]:
    """Return what a formal guarantee promises, of what and why, and what canaries say of it; nothing without one."""
    if guarantee is None:
        return []
    promised, inputs = promise_text(guarantee), accounting_text(guarantee)
    if audit.refuted and audit.guarantee:
        return [refutation_text(audit.guarantee), inputs]
    return [promised, inputs, *([refutation_text(audit.guarantee)] if audit.guarantee else [])]


def _sure(audit: AuditResult, *, guaranteed: bool) -> list[str]:
    declared = audit.declared
    level = f"{100 * declared.confidence:g}"
    brackets = f"Brackets [ ]: {level} of 100 such intervals contain the true number."
    if not audit.measured:
        proof = "beyond the guarantee nothing" if guaranteed else "nothing"
        return [f"{_tried(audit)}, so {proof} is known about privacy.", brackets]
    checks = [control for control in audit.controls if control.decides]
    passed = sum(control.passed for control in checks)
    failed = "" if passed == len(checks) else " The numbers on privacy are not valid; those on accuracy are."
    return [
        f"{passed} of {len(checks)} checks of the audit itself passed.{failed}",
        *_blind(audit),
        brackets,
        f"{declared.num_reference_runs + 1} runs: this one, and {declared.num_reference_runs} on other images to train the "
        "attacker.",
        *_level(declared.family_level),
    ]


def _inconclusive(audit: AuditResult) -> list[str]:
    """Return the surfaces without a finding on which the attack would miss even a memorizing Teacher."""
    if not audit.valid:
        return []
    missed = [name for reason in audit.verdict.reasons if reason.kind == "memorizer_missed" for name in reason.surfaces]
    return [name for name in missed if audit.surfaces[name].state == CLEAN]


def _blind(audit: AuditResult) -> list[str]:
    """Return the surfaces on which the attack would miss even a memorizing Teacher; nothing if there are none."""
    names = _inconclusive(audit)
    if not names:
        return []
    listed = " and ".join(map(surface_title, names))
    return [
        f"Not conclusive for {listed}: there the attack would miss even a Teacher that learned the images by heart, so "
        "finding nothing says little."
    ]


def _level(level: float | None) -> list[str]:
    return (
        [] if level is None else [f"False alarms: if nothing leaks, at most {100 * level:g} of 100 audits report `leaks`."]
    )


def _not_covered(audit: AuditResult, card: DataCard, guarantee: Guarantee | None) -> list[str]:
    related = "People or parts with several images: their risk may be higher than shown."
    by_group = bool(card.groups) and audit.declared.unit == "group"
    shared = audit.measured and audit.declared.generator_shared
    through_images = (
        "What the Student learned about your images through the synthetic images, which all "
        "runs share: its leak may be larger."
    )
    return [
        *([] if by_group else [related]),
        *([through_images] if shared else []),
        "Several releases together, and what others already know.",
        "Attacks that were not tried: there is no formal guarantee (differential privacy)."
        if guarantee is None
        else "Not under the formal guarantee: the Teacher trained without noise, audit and this report.",
    ]


def _next_steps(audit: AuditResult, judged: Sequence[Package], guarantee: Guarantee | None) -> list[NextStep]:
    if audit.refuted:
        return [NextStep(text="Release nothing of this run. Canaries prove its guarantee wrong: report an error of TCKR.")]
    if audit.verdict.state == "invalid":
        return [NextStep(text="Do not release anything based on this audit."), *_repair(audit, guarantee)]
    return [*_measure(audit, judged, guarantee), *_release(judged), *_mend(judged, guarantee)]


def _repair(audit: AuditResult, guarantee: Guarantee | None) -> list[NextStep]:
    """Return what to do about each kind of failed control."""
    failed = {control.name for control in audit.controls if control.decides and not control.passed}
    spent = {"positive": _spent(guarantee)}  # whose advice is to hold back more images
    steps = [
        NextStep(text=f"{text} The chapter audit has the numbers.{spent.get(name, '')}")
        for name, text in REPAIRS.items()
        if name in failed
    ]
    if failed & {"planted", "parity"}:
        command = f"tckr audit {RUN} audit.num_reference_runs={2 * audit.declared.num_reference_runs}"
        steps.append(NextStep(text="More reference runs make these checks more precise:", command=command))
    return steps


def _cost_of(audit: AuditResult, guarantee: Guarantee | None) -> list[NextStep]:
    """Return how to measure what a formal guarantee costs in accuracy; nothing without one, or if it is refuted."""
    if guarantee is None or audit.refuted:
        return []
    labels = " distill.labels=hard" if guarantee.labels_are_prompts else ""  # soft labels would be those of a Teacher
    source = " Its labels are those of one Teacher, because only a guarantee has votes." if guarantee.votes else ""
    source = " Its labels are those of a Teacher without noise." if guarantee.teacher else source
    text = (
        f"See what the guarantee costs in accuracy: repeat the run without it, and compare the Students.{source} The "
        "guarantee does not cover the second run, so release nothing of it:"
    )
    return [NextStep(text=text, command=f"tckr run {RUN} --name without-guarantee privacy.epsilon=null{labels}")]


def _measure(audit: AuditResult, judged: Sequence[Package], guarantee: Guarantee | None) -> list[NextStep]:
    open_surfaces = [name for package in judged if _open(audit, package) for name in package.deciding]
    changes = answering_settings(audit, open_surfaces)
    if not changes:
        return []
    command = f"tckr audit {RUN} {as_arguments(changes)}"
    if guarantee and repeats_run(changes):  # --plan would repeat it too
        return [NextStep(text=f"Measure the rest.{_spent(guarantee)}", command=command)]
    return [NextStep(text="Measure the rest. Add --plan to see how long that takes:", command=command)]


def _release(judged: Sequence[Package]) -> list[NextStep]:
    allowed = [name for name in WHAT if any(package.name == name and package.state == CLEAN for package in judged)]
    if not allowed:
        return []
    command = f"tckr release {RUN} --to FOLDER --license LICENSE --what {WHAT[allowed[0]]} report"
    return [NextStep(text=f"Release what the audit allows, {_article(allowed[0])}, with a page to sign:", command=command)]


def _mend(judged: Sequence[Package], guarantee: Guarantee | None) -> list[NextStep]:
    leaking = [package for package in judged if package.state == "leaks"]
    if not leaking:
        return []
    if all(package.deciding == ["teacher"] for package in leaking):
        return [NextStep(text="Do not release the Teacher: it was trained on your images.")]
    text = (
        "Do not release what leaks. Or train less on single images (fewer adapt.steps and teach.epochs, more images) and "
        "audit again."
    )
    return [NextStep(text=text + _spent(guarantee))]


def _spent(guarantee: Guarantee | None) -> str:
    """Return what advice to change the run costs under a guarantee."""
    return f" The run changes, and {SPENT_AGAIN}." if guarantee else ""


def _article(name: str) -> str:
    return f"the {name}" if name in ("Student", "adapter") else name


def _percent(share: Estimate) -> str:
    value, low, high = (100 * number for number in (rounded(share).value, rounded(share).low, rounded(share).high))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
