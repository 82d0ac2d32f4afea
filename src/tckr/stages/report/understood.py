"""What the report says of how the data were understood: all of it to their owner, else no name that a user gave."""

from __future__ import annotations

from tckr.artifacts.data_card import DataCard
from tckr.data.layouts.description import Layout


def understood_lines(layout: Layout, card: DataCard, private: bool) -> list[str]:
    """Return sentences on form, test split and groups; with `private` the reader's own lines, with names and paths."""
    if private:
        return [*layout.lines(), *_groups(card)]
    given = any(part.use == "test" for part in layout.parts)
    test = "The test split is the source's own." if given else "The source has no test split that is used; one was drawn."
    return [f"Understood as {layout.kind}.", test, *_groups(card)]


def _groups(card: DataCard) -> list[str]:
    if not card.groups:
        return ["No groups (patients, parts) were named: splits and membership were drawn picture by picture."]
    sizes = ", ".join(f"{name} {number:,}" for name, number in card.groups.items())
    return [f"Splits and membership were drawn, and the audit judges, by group, such as a patient or part. Groups: {sizes}."]
