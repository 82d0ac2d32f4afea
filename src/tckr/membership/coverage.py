"""Text on what the number of a surface covers at each depth, and the names of the attacks."""

from __future__ import annotations

from tckr.artifacts.audit import PLAIN, AuditResult
from tckr.surfaces import sees_images

ATTACKS = {"lira": "LiRA", "rmia": "RMIA", "bavaria": "BaVarIA"}

STRONGER = (
    "Not covered: attacks stronger than these, groups of related records (one patient), and the combination of several "
    "releases of the same data."
)

OF_GROUPS = (
    "Not covered: attacks stronger than these, records of one group under several names, and the combination of several "
    "releases of the same data. Groups (patients, parts) were used as set in the settings."
)

COVERAGE = {
    "teacher": [
        "Covered: the Teacher. Each reference run retrained the Teacher with another sample of members, so the "
        "Teacher's number is that of a full attack.",
        "Not measured: captions, adapter, synthetic images, soft labels and Student. No reference run repeated them "
        "at this depth, so they were only attacked without references, which no control checks: a finding there is a "
        "leak, but the absence of findings means nothing. Depth distill attacks soft labels and Student with references, "
        "depth full attacks all of them.",
        STRONGER,
    ],
    "distill": [
        "Covered: the Teacher completely, soft labels and Student through the labels. Each reference run "
        "retrained the Teacher, relabelled the synthetic images and retrained the Student, with another sample of members.",
        "Not covered, because shared: the generator. All runs use the same captions, adapter and synthetic images. "
        "The attacks with references, and AOP, do not show what the generator learned about a member and passes on through "
        "the images, because reference runs with the same images make it look like a property of the record. The attack "
        "without references includes it, but is weak.",
        "Not measured: captions, adapter and the synthetic images themselves. They were only attacked without references, "
        "which no control checks: a finding there is a leak, but the absence of findings means nothing. Depth full "
        "attacks them with references.",
        STRONGER,
    ],
    "full": [
        "Covered: every surface. Each reference run computed captions, adapter, synthetic images, Teacher, soft labels and "
        "Student again from another sample of members. Nothing is shared, so a number includes every path from a record to "
        "that surface.",
        STRONGER,
    ],
    "": ["Covered: the surfaces and records of the given score tables."],
}


def scorer_name(scorer: str) -> str:
    """Return the readable name of a scorer, e.g. `LiRA online, fixed variance` for `lira_online_fixed_variance`."""
    first, *rest = scorer.removesuffix("_fixed_variance").split("_")
    suffix = ", fixed variance" if scorer.endswith("_fixed_variance") else ""
    return " ".join([ATTACKS.get(first, first), *rest]) + suffix


def coverage_of(audit: AuditResult) -> list[str]:
    """Return what the privacy numbers cover and what they do not."""
    if not audit.measured and audit.canaries:
        return ["Only canaries: membership was not measured, so their bounds are the only result about a release surface."]
    if not audit.measured:
        return ["Nothing: membership was not measured, so no release surface has a privacy number."]
    of_groups = audit.declared.unit == "group"
    return [OF_GROUPS if of_groups and line == STRONGER else line for line in COVERAGE[audit.declared.depth]]


def covers_of(audit: AuditResult, surface: str) -> str:
    """Return what the number of one surface covers at this depth, which depends on its attack."""
    found, depth = audit.surfaces.get(surface), audit.declared.depth
    if found is None or not found.auc:
        return "This surface was not attacked."
    if not depth:
        return "Only the content of the given tables."
    if found.attack == PLAIN:
        return _without_references(audit, surface)
    if audit.declared.generator_shared and sees_images(surface):
        return "Through the labels only: all runs share the generator."
    return "Complete: each reference run computed its own."


def _without_references(audit: AuditResult, surface: str) -> str:
    if audit.generator_leaks and sees_images(surface):
        return (
            "No reference run applies, because the shared generator contains information about the "
            "target's members. A weak attack without controls."
        )
    if audit.surfaces[surface].leave_one_out:
        return "The declared attack uses no reference run: weak, so a lower bound."
    return f"No reference run repeated this at depth {audit.declared.depth}: a weak attack without controls."
