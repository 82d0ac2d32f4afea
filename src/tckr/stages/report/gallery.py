"""Images of the report: the first images of each class, as data URIs. Private ones are read only on request."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from tckr.artifacts.audit import AuditResult
from tckr.artifacts.captions import CaptionTable
from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import read_members
from tckr.artifacts.pictures import Chosen, Rows, first_images
from tckr.stages.report.config import ReportConfig
from tckr.stages.report.privacy import is_public
from tckr.stages.report.report_json import Contents

MAX_SIDE_PX = 224
"""Maximum side of a shown image in pixels; larger images are reduced, so that the report stays small."""

MAX_PIXELS = 8_000_000
"""Maximum pixels of all synthetic images in one report, some 16 MB, for the same reason. Large images show fewer classes."""

MAX_IMAGES = 400
"""Maximum number of synthetic images in one report; with more classes, only the first classes are shown."""

CLEAN = "no measurable leakage"

PIXELATED_SIDE_PX = 64
"""Up to this side, pixels are shown as squares, because smoothing would make the generator look better."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image: data URI, alternative text, and its prompt or caption if that may be shown."""

    uri: str
    alt: str
    pixelated: bool
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassGallery:
    """The images of one class."""

    name: str
    synthetic: list[Picture]
    real: list[Picture] = field(default_factory=list)


def shown_galleries(folders: Mapping[str, Path], contents: Contents, config: ReportConfig) -> list[ClassGallery]:
    """Return the galleries. A shareable report has no image that is withheld and no flagged near-copy."""
    if config.include_private:
        return galleries(folders, contents.data, config)
    if not config.gallery_images_per_class or why_withheld(contents):
        return []
    copies = AuditResult.read(folders["audit"]).copies  # the shareable content does not list flagged images
    flagged = [image.synthetic for image in copies.flagged] if copies else []
    return galleries(folders, contents.data, config, left_out=flagged)


def why_withheld(contents: Contents) -> str:
    """Return why synthetic images may not be shown in a shareable report, or an empty string."""
    if shown_because(contents):
        return ""
    if contents.audit.refuted:
        return "canaries refuted the formal guarantee of these images"
    if contents.verdict.state != "valid":
        covered = "a formal guarantee covers them, but a release also needs a valid audit"
        return covered if contents.audit.guarantee else "without a valid audit they must be treated as private"
    state, why = next((row.state, row.why) for row in contents.surfaces if row.key == "images")
    if state == "leaks":
        return f"the audit found that they leak: {why}"
    return "" if state == CLEAN else f"the audit did not measure their leakage: {why}"


def shown_because(contents: Contents) -> str:
    """Return why synthetic images are shown regardless of the audit; empty if the audit decides."""
    if is_public(contents.data):
        return "the source is public"
    return "report.show_images is on" if contents.settings["report"]["show_images"] else ""


def galleries(
    folders: Mapping[str, Path], card: DataCard, config: ReportConfig, left_out: Sequence[int] = ()
) -> list[ClassGallery]:
    """Return the first images of each class; real images and texts only with `config.include_private`.

    `left_out` contains indices of synthetic images that are not shown.
    """
    most, class_names = config.gallery_images_per_class, card.class_names
    budget = min(MAX_IMAGES, MAX_PIXELS // min(card.image_size, MAX_SIDE_PX) ** 2)
    labels = range(min(len(class_names), budget // most)) if most else range(0)
    shown = Chosen(left_out, invert=True) if left_out else None
    synthetic = first_images(folders["synthetic"] / "data", labels, most, ["index", "prompt"], shown)
    real = _real_images(folders, labels, most) if config.include_private else {}
    return [
        ClassGallery(
            name=class_names[label],
            synthetic=[
                _synthetic(row, class_names[label], place, config.include_private)
                for place, row in enumerate(synthetic[label], 1)
            ],
            real=[_real(row, class_names[label]) for row in real.get(label, [])],
        )
        for label in labels
    ]


def _real_images(folders: Mapping[str, Path], labels: range, most: int) -> Rows:
    """Return member images of the pool with their captions, because only members were captioned and trained on."""
    rows = first_images(folders["data"] / "pool", labels, most, ["record"], Chosen(read_members(folders["data"], 0)))
    table = CaptionTable.read(folders["captions"])
    captions = dict(zip(table.records.tolist(), table.texts, strict=True))
    return {label: [row | {"caption": captions.get(row["record"], "")} for row in found] for label, found in rows.items()}


def _synthetic(row: Mapping[str, Any], class_name: str, place: int, include_private: bool) -> Picture:
    if include_private:
        return picture_of(row["image"]["bytes"], f"synthetic {class_name}, index {row['index']}", row["prompt"])
    # a gap in the indices would reveal the flagged copies
    return picture_of(row["image"]["bytes"], f"synthetic {class_name}, {place}")


def _real(row: Mapping[str, Any], class_name: str) -> Picture:
    return picture_of(row["image"]["bytes"], f"real {class_name}, record {row['record']}", row["caption"])


def picture_of(encoded: bytes, alt: str, words: str = "") -> Picture:
    """Return an encoded image for the page."""
    uri, pixelated = data_uri(encoded)
    return Picture(uri=uri, pixelated=pixelated, words=words, alt=alt)


def data_uri(encoded: bytes) -> tuple[str, bool]:
    """Return an image as PNG data URI of at most `MAX_SIDE_PX` per side, and whether to show its pixels as squares."""
    with Image.open(io.BytesIO(encoded)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return uri, max(image.size) <= PIXELATED_SIDE_PX
