"""What the report says of near-copies of members among the synthetic images. Shows no image and measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tckr.metrics.estimate import Estimate
from tckr.metrics.results import AuditResult, CopiesResult, FlaggedImage
from tckr.stages.report.contents import CopiesSummary, FlaggedRow, Number
from tckr.stages.report.numbers import measured_number, percent, signed_percent

MAX_PICTURES = 12
"""Flagged images shown with their neighbours; the table and `report.json` have all that the audit listed."""

NOT_LOOKED_FOR = "near-copies of members were not looked for"


def copies_summary(audit: AuditResult, redrawn: Sequence[int], include_private: bool) -> CopiesSummary | None:
    """Return what to say of copies; None when nobody looked.

    Args:
        audit: its result.
        redrawn: indices that were drawn anew already (`generate.redraw`); one index may stand there several times.
        include_private: keep the record numbers, which name training records.
    """
    copies = audit.copies
    if copies is None:
        return None
    return CopiesSummary(
        headline=copies_headline(copies),
        excess=measured_number(copies.excess, signed_percent),
        closer=measured_number(copies.closer, percent),
        near_member=measured_number(copies.near_member, percent),
        near_holdout=measured_number(copies.near_holdout, percent),
        nearness=_nearness(copies),
        flagged=[_flagged_row(flagged, include_private) for flagged in copies.flagged],
        num_flagged=copies.num_flagged,
        num_mirrored=copies.num_mirrored,
        num_redrawn=len(redrawn),
        command=redraw_command(copies, redrawn),
    )


def without_record_numbers(audit: AuditResult) -> AuditResult:
    """Return the audit without the list of flagged images, which names training records."""
    if audit.copies is None:
        return audit
    return audit.model_copy(update={"copies": audit.copies.model_copy(update={"flagged": []})})


def flagged_indices(audit: AuditResult) -> list[int]:
    """Return the indices of the flagged synthetic images, most suspicious first."""
    return [flagged.synthetic for flagged in audit.copies.flagged] if audit.copies else []


def copies_headline(copies: CopiesResult) -> str:
    """Return in one sentence whether the images come nearer to members than chance has it."""
    if not isinstance(copies.excess, Estimate):
        return f"Not measurable: {copies.excess.reason}"
    if copies.excess.low > 0:
        return "More near-copies of members than of records that the generator never saw"
    return "No measurable excess of near-copies of members"


def redraw_command(copies: CopiesResult, redrawn: Sequence[int]) -> str:
    """Return the command that has the listed images drawn anew; empty when there are none.

    What was redrawn stays in the list, or the copies of last time would come back.
    """
    if not copies.flagged:
        return ""
    indices = sorted([*redrawn, *(flagged.synthetic for flagged in copies.flagged)])
    return f"tckr run RUN_FOLDER 'generate.redraw=[{','.join(map(str, indices))}]'"


def _nearness(copies: CopiesResult) -> str:
    if copies.threshold is None:
        return ""
    records = copies.num_members + copies.num_holdout
    return (
        f"Near means within {copies.threshold:.3g} in the features of a model that saw neither set: "
        f"{100 * copies.quantile:g} % of the {records:,} real records have another one as near."
    )


def _flagged_row(flagged: FlaggedImage, include_private: bool) -> FlaggedRow:
    return FlaggedRow(
        synthetic=flagged.synthetic,
        member=flagged.member if include_private else None,
        member_distance=_distance(flagged.member_distance),
        holdout=flagged.holdout if include_private else None,
        holdout_distance=_distance(flagged.holdout_distance),
    )


def _distance(distance: float) -> Number:
    return Number(text=f"{distance:.3g}", value=distance)
