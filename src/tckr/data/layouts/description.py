"""Describe how a source was understood. The description is logged, stored as layout.json and shown to the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tckr.data.sources.record import TEST
from tckr.disk import write_whole

LAYOUT_NAME = "layout.json"
MOST_SHOWN = 12
"""Maximum number of classes, or of things left out, that the text lists; the others are counted."""

_FIXED = ConfigDict(extra="forbid", frozen=True)


class LayoutPart(BaseModel):
    """A split of the source.

    Attributes:
        name: name of the split in the source.
        use: `train` (pool and validation, and the test split if it is sampled), `test` (all of it locked) or `not used`.
        images: pictures found, labelled or not.
    """

    model_config = _FIXED

    name: str
    use: str
    images: int


class LeftOut(BaseModel):
    """Files or folders that are not read: which, how many, and why."""

    model_config = _FIXED

    what: str
    count: int
    why: str


class Layout(BaseModel):
    """How a source was understood, before any picture is decoded.

    Attributes:
        kind: form of the source.
        labels_from: where the labels come from.
        parts: the splits.
        classes: class name as the source writes it -> part -> labelled pictures.
        groups: where the groups come from, whose pictures are never divided between splits; empty = there are no groups.
        num_groups: number of groups.
        group_column: column that looks like the number of a patient or part; empty = none found.
        captions: where texts about the pictures are; empty = none found.
        left_out: what is not read.
        notes: everything else that the reader decided or noticed.
    """

    model_config = _FIXED

    kind: str
    labels_from: str
    parts: list[LayoutPart]
    classes: dict[str, dict[str, int]]
    groups: str = ""
    num_groups: int = 0
    group_column: str = ""
    captions: str = ""
    left_out: list[LeftOut] = []
    notes: list[str] = []

    def lines(self) -> list[str]:
        """Return the description as lines of text."""
        lines = [
            f"understood as {self.kind}",
            f"labels from {self.labels_from}",
            "; ".join(self._part(part) for use in _USES for part in self.parts if part.use == use) or "no images",
            f"{len(self.classes)} classes: {self._sizes()}",
        ]
        lines += [f"not read: {item.what} ({item.count:,}): {item.why}" for item in self.left_out[:MOST_SHOWN]]
        if len(self.left_out) > MOST_SHOWN:
            lines.append(f"not read: {len(self.left_out) - MOST_SHOWN} others, listed in rejected.csv")
        if self.captions:
            lines.append(f"captions: {self.captions}")
        if self.groups:
            lines.append(
                f"{self.num_groups:,} groups from {self.groups}; no group is divided between "
                "splits, or between members and non-members"
            )
        elif self.group_column:
            lines.append(
                f"column {self.group_column!r} looks like a group (patient, part), and splits do not follow it; to sample "
                f"by group, set prepare.group_column={self.group_column}"
            )
        return lines + self.notes

    def _part(self, part: LayoutPart) -> str:
        return f"{part.name}: {part.images:,} images ({_USES[part.use]})"

    def _sizes(self) -> str:
        sizes = [f"{name} {sum(counts.values()):,}" for name, counts in self.classes.items()]
        return ", ".join(sizes[:MOST_SHOWN]) + (" ..." if len(sizes) > MOST_SHOWN else "")


_USES = {"train": "pool and validation", TEST: "locked test split", "not used": "not used"}


def count_classes(names: Sequence[str], labelled: Iterable[tuple[str, int]]) -> dict[str, dict[str, int]]:
    """Return class name -> part -> number of pictures, from pairs (part, label); a label below 0 means no class."""
    counts: dict[int, Counter[str]] = {}
    for part, label in labelled:
        if label >= 0:
            counts.setdefault(label, Counter())[part] += 1
    return {name: dict(counts.get(label, {})) for label, name in enumerate(names)}


def merge_counts(names: Sequence[str], by_part: Mapping[str, Mapping[int, int]]) -> dict[str, dict[str, int]]:
    """Return class name -> part -> number of pictures, from part -> label -> number of pictures."""
    return {
        name: {part: counts[label] for part, counts in by_part.items() if counts.get(label)}
        for label, name in enumerate(names)
    }


def write_layout(folder: Path, layout: Layout) -> None:
    """Write layout.json as a complete file; bytes of names that are not UTF-8 appear as escapes."""
    text = layout.model_dump_json(indent=2) + "\n"
    write_whole(folder / LAYOUT_NAME, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_layout(folder: Path) -> Layout:
    """Return the description in a `prepare` artifact."""
    return Layout.model_validate_json((folder / LAYOUT_NAME).read_text(encoding="utf-8"))
