"""Settings of `report`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tckr.stages.config_base import StageConfig


class ReportConfig(StageConfig):
    """Content of the report, and whether it may be shared."""

    version: ClassVar[int] = 7

    title: str = Field("", max_length=200, description="Headline; empty = the name of the data set.")
    include_private: bool = Field(
        False,
        description="Show private images, captions, prompts, the source's name, paths and exact numbers. "
        "Off by default, so that the report may be shared: its numbers are too coarse to identify single "
        "records, and it shows no synthetic images flagged as near-copies of private ones. Turn it on for "
        "public data or for your own use.",
    )
    show_images: bool = Field(
        False,
        description="Show synthetic images in a shareable report although the audit did not find `no measurable leakage` "
        "for them. Off by default, because such images may reveal private ones. The digits, and sets of the hub that "
        "`prepare.public` declares public, do not need it: their synthetic images are always shown.",
    )
    gallery_images_per_class: int = Field(
        8, ge=0, le=64, description="Images per class in the galleries: the first by index, without selection; 0 shows none."
    )

    @property
    def uses_device(self) -> bool:
        """Return False: writing pages needs no GPU."""
        return False
