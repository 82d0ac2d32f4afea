"""Flagged synthetic images with their nearest member and nearest hold-out record, for a private report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tckr.artifacts.pictures import images_by_number
from tckr.stages.report.config import ReportConfig
from tckr.stages.report.copies import MAX_PICTURES
from tckr.stages.report.gallery import Picture, picture_of
from tckr.stages.report.report_json import Contents, FlaggedRow


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """One flagged image with its neighbours, and their distances in `row`."""

    row: FlaggedRow
    synthetic: Picture
    member: Picture
    holdout: Picture


def shown_likenesses(folders: Mapping[str, Path], contents: Contents, config: ReportConfig) -> list[Likeness]:
    """Return the first `MAX_PICTURES` flagged images; none in a shareable report, because a copy shows a private image."""
    rows = contents.copies.flagged[:MAX_PICTURES] if contents.copies and config.include_private else []
    synthetic = images_by_number(folders["synthetic"] / "data", "index", [row.synthetic for row in rows])
    records = [number for row in rows for number in (row.member, row.holdout)]
    real = images_by_number(folders["data"] / "pool", "record", records)
    return [_likeness(row, synthetic, real) for row in rows]


def _likeness(row: FlaggedRow, synthetic: Mapping[int, bytes], real: Mapping[int, bytes]) -> Likeness:
    return Likeness(
        row=row,
        synthetic=picture_of(synthetic[row.synthetic], f"synthetic image {row.synthetic}"),
        member=picture_of(real[row.member], f"nearest member, record {row.member}"),
        holdout=picture_of(real[row.holdout], f"nearest hold-out record, record {row.holdout}"),
    )
