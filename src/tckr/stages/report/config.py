"""Settings of `report`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tckr.stages.config_base import StageConfig


class ReportConfig(StageConfig):
    """What the report shows and to whom it may be shown."""

    version: ClassVar[int] = 4

    title: str = Field(
        "", max_length=200, description="Headline; empty takes the data set's name, because most reports need no other."
    )
    include_private: bool = Field(
        False,
        description="Show private images, captions, prompts, the source's name, paths, exact numbers. Off, because then the "
        "report may be shared: its numbers are too coarse to tell single records, and without synthetic "
        "images flagged as near-copies of private ones. Turn it on for public data or for your own eyes.",
    )
    show_images: bool = Field(
        False,
        description="Show synthetic images in a report that may be shared though the audit did not find `no measurable "
        "leakage` of them. Off, because such images may give private ones away. The digits, and sets of the hub that "
        "`prepare.public` declares public, need it not: their synthetic images are shown.",
    )
    gallery_images_per_class: int = Field(
        8, ge=0, le=64, description="Images of each class in the galleries, the first by index, not selected; 0 shows none."
    )

    @property
    def uses_device(self) -> bool:
        """Return that it does not: it writes pages."""
        return False
