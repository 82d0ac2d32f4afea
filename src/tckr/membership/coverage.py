"""What the number of a surface covers at each depth, and the names of the attacks."""

from __future__ import annotations

from tckr.artifacts.audit import PLAIN, AuditResult
from tckr.surfaces import sees_images

ATTACKS = {"lira": "LiRA", "rmia": "RMIA", "bavaria": "BaVarIA"}

STRONGER = (
    "Not covered: attacks stronger than these, groups of related records (one patient), and what several releases of the "
    "same data tell together."
)

OF_GROUPS = (
    "Not covered: attacks stronger than these, records of one group under several names, and what several releases of the "
    "same data tell together. Groups (patients, parts) were judged as the settings name them."
)

COVERAGE = {
    "teacher": [
        "Covered: the Teacher. Each reference run retrained the Teacher with another draw of members, so the "
        "Teacher's number is a full attack.",
        "Not measured: captions, adapter, synthetic images, soft labels and Student. No reference run repeated them "
        "at this depth, so only attacks without references try them and no control checks these: what they find is a "
        "leak, what they do not find says nothing. Depth distill attacks soft labels and Student with references, "
        "depth full all of them.",
        STRONGER,
    ],
    "distill": [
        "Covered: the Teacher whole, soft labels and Student through the labels. Each reference run retrained the Teacher, "
        "relabelled the synthetic images and retrained the Student, with another draw of members.",
        "Shared, therefore not covered: the generator. All runs use the same captions, adapter and synthetic images. "
        "What the generator learned about a member and passes on through the images does not show in the attacks with "
        "references, nor in AOP: references with the same images take it for a property of the record. The attack without "
        "references does not take it away, but is weak.",
        "Not measured: captions, adapter and synthetic images themselves. Only attacks without references try them "
        "here and no control checks these: what they find is a leak, what they do not find says nothing. Depth full "
        "attacks them with references.",
        STRONGER,
    ],
    "full": [
        "Covered: every surface. Each reference run made captions, adapter, synthetic images, Teacher, soft labels and "
        "Student anew from another draw of members; nothing is shared, so a number counts every way from a record to that "
        "surface.",
        STRONGER,
    ],
    "": ["Covered: what the given score tables hold, for the records in them."],
}


def scorer_name(scorer: str) -> str:
    """Return a scorer's identifier as a reader knows it: `lira_online_fixed_variance` as `LiRA online, fixed variance`."""
    first, *rest = scorer.removesuffix("_fixed_variance").split("_")
    suffix = ", fixed variance" if scorer.endswith("_fixed_variance") else ""
    return " ".join([ATTACKS.get(first, first), *rest]) + suffix


def coverage_of(audit: AuditResult) -> list[str]:
    """Return what the privacy numbers cover and what they do not."""
    if not audit.measured and audit.canaries:
        return [
            "Canaries alone: membership was not measured, so nothing but their bounds says anything of a release surface."
        ]
    if not audit.measured:
        return ["Nothing: membership was not measured, so no release surface has a privacy number."]
    of_groups = audit.declared.unit == "group"
    return [OF_GROUPS if of_groups and line == STRONGER else line for line in COVERAGE[audit.declared.depth]]


def covers_of(audit: AuditResult, surface: str) -> str:
    """Return what the number of one surface covers at this depth; the attack behind it decides."""
    found, depth = audit.surfaces.get(surface), audit.declared.depth
    if found is None or not found.auc:
        return "Nobody attacked this here."
    if not depth:
        return "As far as the given tables go."
    if found.attack == PLAIN:
        return _without_references(audit, surface)
    if audit.declared.generator_shared and sees_images(surface):
        return "Through the soft labels only: all runs share the generator."
    return "All of it: each reference run made its own."


def _without_references(audit: AuditResult, surface: str) -> str:
    if audit.generator_leaks and sees_images(surface):
        return "No reference fits: the shared generator knows the target's members. A weak attack, unchecked."
    if audit.surfaces[surface].leave_one_out:
        return "The declared attack uses no reference run: weak, so a lower bound."
    return f"No reference run repeated this at depth {audit.declared.depth}: a weak attack, unchecked."
