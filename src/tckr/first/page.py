"""The first report: a page of the result so far, with a sheet of synthetic images, until the audit is done.

It is private: nothing has measured yet what its pictures give away.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.pictures import first_images
from tckr.errors import printable
from tckr.first.result import FirstResult
from tckr.html.pages import Cells, Section, html_page

MOST_CLASSES, PER_CLASS = 40, 8
"""Rows and columns of the sheet."""

SIDE_PX = 96
"""Of a picture on the sheet."""

PRELIMINARY = (
    "Preliminary: the Teacher may have chosen its best epoch on these images. The test split stays sealed until the audit "
    "judges; the final numbers come from it."
)


def audit_sentence(num_done: int, num_runs: int) -> str:
    """Return how far the audit is."""
    return f"Audit running: {num_done} of {num_runs} reference runs are done." if num_runs else "The audit is not done."


def first_page(result: FirstResult, artifacts: Mapping[str, Path], audit: str) -> str:
    """Return the page as HTML; `artifacts` are folders by the names of steps, `audit` says how far the audit is."""
    card = DataCard.read(artifacts["prepare"])
    warning = "Nothing is known yet about what leaks: do not share this page or its pictures. The final report replaces it."
    sections = [
        Section(sentences=[audit, warning]),
        Section(title="Accuracy so far", table=_accuracies(result), notes=[PRELIMINARY]),
        Section(title="Synthetic images", charts=_sheet(artifacts["generate"], card.class_names)),
        Section(title="Agreement of the Teacher, class by class", table=_agreements(result)),
    ]
    return html_page(f"First result: {printable(card.name)}", [section for section in sections if section != Section()])


def _accuracies(result: FirstResult) -> Cells:
    head = ["", "Teacher (private)", "Student (synthetic images only)"]
    return [head, [f"accuracy on {result.images}", str(result.teacher), str(result.student)]]


def _agreements(result: FirstResult) -> Cells:
    rows = [
        [
            printable(name),
            f"{found.n:,}",
            "-" if found.rate is None else f"{found.rate:.2f} [{found.low:.2f}, {found.high:.2f}]",
        ]
        for name, found in result.agreement.items()
    ]
    return [["class", "images", "recognised by the Teacher"], *rows] if rows else []


def _sheet(synthetic: Path, class_names: Sequence[str]) -> dict[str, Markup]:
    """Return class by class the first synthetic images, not selected."""
    labels = range(min(len(class_names), MOST_CLASSES))
    found = first_images(synthetic / "data", labels, PER_CLASS, ["index"])
    return {str(label): _row(class_names[label], [row["image"]["bytes"] for row in found[label]]) for label in labels}


def _row(name: str, encoded: Sequence[bytes]) -> Markup:
    images = Markup("").join(
        Markup('<img alt="synthetic {}, {}" width="{}" src="data:image/png;base64,{}">').format(
            printable(name), place, SIDE_PX, _png(one)
        )
        for place, one in enumerate(encoded, 1)
    )
    return Markup("<figcaption>{}</figcaption><div>{}</div>").format(printable(name), images)


def _png(encoded: bytes) -> str:
    with Image.open(io.BytesIO(encoded)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
