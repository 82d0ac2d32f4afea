"""The report's section on near-copies of members among the synthetic images."""

from __future__ import annotations

from collections.abc import Sequence

from tckr.artifacts.audit import AuditResult
from tckr.artifacts.synthetic import ReplacedCopies
from tckr.html.numbers import measured_number, percent, signed_percent
from tckr.metrics.estimate import Estimate
from tckr.metrics.results import CopiesResult, FlaggedImage
from tckr.metrics.rounding import significant
from tckr.stages.report.report_json import CopiesSummary, FlaggedRow, Number

MAX_PICTURES = 12
"""Maximum number of flagged images shown with their neighbours."""

MAX_ROWS = 100
"""Maximum number of flagged images in the table; `report.json` and the command include all."""

NOT_LOOKED_FOR = "near-copies of members were not searched for"


TOO_LOW = "excess and AUC of the images are too low by construction, and the adapter can still generate the copies."

REDRAWS = 10
"""Number of redraws in the suggested command."""


def copies_summary(audit: AuditResult, replaced: ReplacedCopies | None, include_private: bool) -> CopiesSummary | None:
    """Return the section on copies; None if they were not searched for.

    Args:
        audit: result of the audit.
        replaced: result of regenerating near-copies; None if it was not requested.
        include_private: list the flagged images and their distances. A released image on that list is a training record,
            which
            anyone who has the set could then identify.
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
        command=redraw_command(copies, replaced),
    )


def redrawn_sentence(redrawn: Sequence[int], replaced: ReplacedCopies | None, include_private: bool) -> str:
    """Return the effect of regenerated images on the numbers of all images; empty if there are none.

    Args:
        redrawn: indices in `generate.redraw`; an index may occur several times.
        replaced: result of `generate.redraw_copies`; None if it was not requested.
        include_private: give exact counts.
    """

    def number(count: int) -> int:
        return count if include_private else int(significant(count))

    told = [f"{_images(number(len(set(redrawn))))} generated again after an earlier audit"] if redrawn else []
    if replaced and replaced.replaced:
        told.append(f"{_images(number(replaced.replaced))} replaced as near-copies of members")
    chosen = f"{' and '.join(told)}, so the images were chosen with knowledge of the members: {TOO_LOW}" if told else ""
    left = ""
    if replaced and replaced.left:
        left = f"Near-copies left after {replaced.redraws} further samples: {number(replaced.left):,}."
    return f"{chosen} {left}".strip()


def _images(count: int) -> str:
    return "1 image was" if count == 1 else f"{count:,} images were"


def copies_headline(copies: CopiesResult) -> str:
    """Return one sentence: whether the images are closer to members than chance explains."""
    if not isinstance(copies.excess, Estimate):
        return f"Not measurable: {copies.excess.reason}"
    if copies.excess.low > 0:
        return "More near-copies of members than of records that the generator was not trained on"
    return "No measurable excess of near-copies of members"


def redraw_command(copies: CopiesResult, replaced: ReplacedCopies | None) -> str:
    """Return the command that replaces flagged images; empty if there are none, or if they were replaced already."""
    return f"tckr run RUN_FOLDER generate.redraw_copies={REDRAWS}" if copies.num_flagged and replaced is None else ""


def _nearness(copies: CopiesResult, include_private: bool) -> str:
    if not isinstance(copies.excess, Estimate):
        return ""
    records = copies.num_members + copies.num_holdout
    within = f"within {copies.threshold:.3g}" if include_private and copies.threshold is not None else "within one distance"
    return (
        f"Near means {within} in the features of a model that was trained on neither set: "
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
