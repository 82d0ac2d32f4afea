"""What the report says of near-copies of members among the synthetic images. Shows no image and measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tckr.artifacts.audit import AuditResult
from tckr.html.numbers import measured_number, percent, signed_percent
from tckr.metrics.estimate import Estimate
from tckr.metrics.results import CopiesResult, FlaggedImage
from tckr.stages.report.contents import CopiesSummary, FlaggedRow, Number

MAX_PICTURES = 12
"""Flagged images shown with their neighbours."""

MAX_ROWS = 100
"""Flagged images in the table; `report.json` and the command have all of them."""

NOT_LOOKED_FOR = "near-copies of members were not looked for"


def copies_summary(audit: AuditResult, redrawn: Sequence[int], include_private: bool) -> CopiesSummary | None:
    """Return what to say of copies; None when nobody looked.

    Args:
        audit: its result.
        redrawn: indices that were drawn anew already (`generate.redraw`); one index may stand there several times.
        include_private: say which images are flagged and how near they are: a released image on that list is a training
            record for whoever holds the set.
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
        nearness=_nearness(copies, include_private),
        flagged=[_flagged_row(flagged) for flagged in copies.flagged] if include_private else [],
        num_flagged=copies.num_flagged,
        num_mirrored=copies.num_mirrored,
        command=redraw_command(copies, redrawn) if include_private else "",
    )


def redrawn_sentence(redrawn: Sequence[int]) -> str:
    """Return what `generate.redraw` does to the numbers of the images; empty when nothing was drawn anew."""
    if not redrawn:
        return ""
    count = len(set(redrawn))
    drawn = "1 image was" if count == 1 else f"{count:,} images were"
    return (
        f"{drawn} drawn anew after an earlier audit, so the images were chosen with knowledge of the members: excess and "
        "AUC of the images are too low, and the adapter still draws the copies."
    )


def copies_headline(copies: CopiesResult) -> str:
    """Return in one sentence whether the images come nearer to members than chance has it."""
    if not isinstance(copies.excess, Estimate):
        return f"Not measurable: {copies.excess.reason}"
    if copies.excess.low > 0:
        return "More near-copies of members than of records that the generator never saw"
    return "No measurable excess of near-copies of members"


def redraw_command(copies: CopiesResult, redrawn: Sequence[int]) -> str:
    """Return the command that has the flagged images drawn anew; empty when there are none.

    What was redrawn stays in the list, or the copies of last time would come back.
    """
    if not copies.flagged:
        return ""
    indices = sorted([*redrawn, *(flagged.synthetic for flagged in copies.flagged)])
    return f"tckr run RUN_FOLDER 'generate.redraw=[{','.join(map(str, indices))}]'"


def _nearness(copies: CopiesResult, include_private: bool) -> str:
    if not isinstance(copies.excess, Estimate):
        return ""
    records = copies.num_members + copies.num_holdout
    within = f"within {copies.threshold:.3g}" if include_private and copies.threshold is not None else "within one distance"
    return (
        f"Near means {within} in the features of a model that saw neither set: "
        f"{100 * copies.quantile:g} % of the {records:,} real records have another one as near."
    )


def _flagged_row(flagged: FlaggedImage) -> FlaggedRow:
    return FlaggedRow(
        synthetic=flagged.synthetic,
        member=flagged.member,
        member_distance=_distance(flagged.member_distance),
        holdout=flagged.holdout,
        holdout_distance=_distance(flagged.holdout_distance),
    )


def _distance(distance: float) -> Number:
    return Number(text=f"{distance:.3g}", value=distance)
