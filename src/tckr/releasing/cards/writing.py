"""Write the cards of a release into its folder."""

from __future__ import annotations

from pathlib import Path

from tckr.artifacts.document import write_json
from tckr.releasing.cards.croissant import croissant
from tckr.releasing.cards.data import data_card
from tckr.releasing.cards.model import adapter_card, student_card
from tckr.releasing.cards.summary import audit_summary
from tckr.releasing.facts import Facts
from tckr.releasing.rows import Rows


def write_cards(facts: Facts, rows: Rows | None, folder: Path) -> None:
    """Write README.md, audit_summary.json, croissant.json (with images), and a README.md beside each model."""
    summary = audit_summary(facts)
    write_json(folder / "audit_summary.json", summary)
    for name, card in (("student", student_card), ("adapter", adapter_card)):
        if name in facts.request.what:
            (folder / name / "README.md").write_text(card(facts, summary), encoding="utf-8")
    (folder / "README.md").write_text(data_card(facts, summary, rows, folder), encoding="utf-8")
    if rows is not None:
        write_json(folder / "croissant.json", croissant(facts, rows, folder))
