"""Results by class: the worst classes, their confusions, and advice for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tckr.artifacts.agreement import LOW_AGREEMENT
from tckr.artifacts.audit import AuditResult
from tckr.artifacts.mistakes import read_mistakes
from tckr.html.numbers import measured_number
from tckr.metrics.estimate import FEWEST_TEST_IMAGES
from tckr.stages.report.config import ReportConfig
from tckr.stages.report.gallery import Picture, picture_of
from tckr.stages.report.report_json import ClassRow, ConfusedPair, Number

MAX_PAIRS = 10
"""Maximum number of confused pairs in the table."""

MAX_MATRIX = 20
"""Maximum number of classes with a confusion matrix; larger ones are unreadable. The table of pairs is always shown."""

NOT_SHOWN = (
    "The Teacher does not recognise this class in the images. Describe the classes (adapt.prompt_form='n: d' and "
    "adapt.descriptions), adapt longer (adapt.steps), or, without a formal guarantee, generate such images again "
    "(generate.redraw_disowned)."
)
TEACHER_WEAK = (
    "The Teacher is weak on this class, too: check the labels of the private images, and add images of this class."
)
STUDENT_WEAK = (
    "The Teacher recognises this class: generate more images (generate.cardinality) or train longer (distill.epochs)."
)
NOTHING = "No measurable problem."
TOO_FEW = f"Too few test images to tell: fewer than {FEWEST_TEST_IMAGES}."


@dataclass(frozen=True, kw_only=True)
class ShownMistake:
    """A test image that the Student misclassifies, with the names of both classes."""

    picture: Picture
    name: str
    answer: str
    confidence: float


def worst_first(rows: Sequence[ClassRow]) -> list[ClassRow]:
    """Return the classes by the Student's accuracy, lowest first; ties in the order of their labels."""
    known = [row for row in rows if row.student_accuracy.value is not None]
    unknown = [row for row in rows if row.student_accuracy.value is None]
    return [*sorted(known, key=lambda row: row.student_accuracy.value or 0.0), *unknown]


def advised(rows: Sequence[ClassRow], audit: AuditResult) -> list[ClassRow]:
    """Return the classes with advice for each."""
    teacher, student = (measured_number(audit.surfaces[name].cas) for name in ("teacher", "student"))
    return [row.model_copy(update={"advice": _advice(row, teacher, student)}) for row in rows]


def confused_pairs(audit: AuditResult, class_names: Sequence[str]) -> list[ConfusedPair]:
    """Return the confused pairs of classes, most frequent first; empty if counts may not be shown."""
    teacher, student = (audit.surfaces[name].confusion for name in ("teacher", "student"))
    pairs = [
        ConfusedPair(
            name=class_names[row],
            answer=class_names[column],
            count=count,
            of=sum(counts),
            by_teacher=teacher[row][column] if teacher else 0,
        )
        for row, counts in enumerate(student)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(pairs, key=lambda pair: -pair.count)[:MAX_PAIRS]


def shown_mistakes(folders: Mapping[str, Path], class_names: Sequence[str], config: ReportConfig) -> list[ShownMistake]:
    """Return the test images that the Student misclassifies; none in a shareable report."""
    return [
        ShownMistake(
            picture=picture_of(found.image, f"test image of {class_names[found.label]}"),
            name=class_names[found.label],
            answer=class_names[found.answer],
            confidence=found.confidence,
        )
        for found in (read_mistakes(folders["audit"]) if config.include_private else [])
    ]


def _advice(row: ClassRow, teacher: Number, student: Number) -> str:
    if row.agreement.value is not None and row.agreement.value < LOW_AGREEMENT:
        return NOT_SHOWN
    lost = row.difference is not None and row.difference.high is not None and row.difference.high < 0
    if lost or _below(row.student_accuracy, student):
        return TEACHER_WEAK if _below(row.teacher_accuracy, teacher) else STUDENT_WEAK
    return TOO_FEW if row.num_test < FEWEST_TEST_IMAGES else NOTHING


def _below(number: Number, all_classes: Number) -> bool:
    """Return whether the accuracy on a class is measurably below that on all classes."""
    return number.high is not None and all_classes.low is not None and number.high < all_classes.low
