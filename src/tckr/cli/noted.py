"""What to say of a finished step while a run goes on: where its artifact lies, and the first result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tckr.engine.store import Store
from tckr.first.result import FirstResult
from tckr.first.showing import first_report
from tckr.first.validation import VALIDATE

if TYPE_CHECKING:
    from tckr.cli.console import Notes
    from tckr.config import Settings
    from tckr.engine.step import Step

NAMES = {"generate": "synthetic set", "distill": "Student"}
"""Stage -> what its artifact is called; of the others nothing is said."""


def notes_of(settings: Settings) -> Notes:
    """Return what says it of a run with these settings, whose folder links to what is finished."""
    folder, store = settings.execution.folder, Store(settings.execution.store)

    def notes(step: Step, reused: bool) -> Sequence[str]:
        if step.name == VALIDATE:
            found = FirstResult.read({"label": folder / "artifacts" / "label", VALIDATE: store.folder(step)})
            return [f"first result: {found.sentence}", *_page(first_report(folder).is_file())]
        return [f"{NAMES[step.name]}: {folder / 'artifacts' / step.name}"] if step.name in NAMES and not reused else []

    def _page(written: bool) -> Sequence[str]:
        return [f"first report, with a sheet of images, while the audit goes on: {first_report(folder)}"] if written else []

    return notes
