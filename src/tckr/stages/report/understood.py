"""The report's description of how the data were read; without names given by a user unless the report is private."""

from __future__ import annotations

from tckr.artifacts.data_card import DataCard
from tckr.data.layouts.description import Layout


def understood_lines(layout: Layout, card: DataCard, private: bool) -> list[str]:
    """Return sentences on form, test split and groups; with `private`, the reader's own lines with names and paths."""
    if private:
        return [*layout.lines(), *_groups(card)]
    given = any(part.use == "test" for part in layout.parts)
    test = "The test split is that of the source." if given else "The source has no usable test split; one was sampled."
    return [f"Understood as {layout.kind}.", test, *_groups(card)]


def _groups(card: DataCard) -> list[str]:
    if not card.groups:
        return ["No groups (patients, parts) were given: splits and membership were sampled for each image."]
    sizes = ", ".join(f"{name} {number:,}" for name, number in card.groups.items())
    return [
        "Splits and membership were sampled by group, such as a patient or part, and the audit counts "
        f"groups. Groups: {sizes}."
    ]
