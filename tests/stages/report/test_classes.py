"""The worst class first, what is confused with what, and what to change; counts and pictures in a private report alone."""

from __future__ import annotations

import re

import pytest

from tckr.artifacts.mistakes import read_mistakes
from tckr.data.images import decode_image
from tckr.html.numbers import Number
from tckr.metrics.estimate import Estimate
from tckr.stages.report.classes import NOT_SHOWN, NOTHING, STUDENT_WEAK, TEACHER_WEAK, TOO_FEW, advised, worst_first
from tckr.stages.report.report_json import ClassRow
from tests.stages.report.sample import Sample
from tests.stages.report.test_privacy import pixels_of

NONE = Number(text="")


def number(value: float, half: float = 0.02) -> Number:
    return Number(text="", value=value, low=value - half, high=value + half)


def class_row(name: str = "a", *, student: float = 0.9, teacher: float = 0.9, agreement: float = 0.9, num_test: int = 400):
    return ClassRow(
        name=name,
        num_test=num_test,
        teacher_accuracy=number(teacher),
        student_accuracy=number(student),
        difference=None,
        teacher_auc=NONE,
        student_auc=NONE,
        agreement=number(agreement),
        num_synthetic=64,
    )


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        (class_row(student=0.4, agreement=0.3), NOT_SHOWN),
        (class_row(student=0.4), STUDENT_WEAK),
        (class_row(student=0.4, teacher=0.4), TEACHER_WEAK),
        (class_row(num_test=20), TOO_FEW),
        (class_row(), NOTHING),
    ],
)
def test_what_to_change_follows_from_what_is_measurably_worse(row, advice):
    audit = Sample(class_names=["a", "b"]).audit()
    cas = {"cas": Estimate(0.9, 0.88, 0.92, 400, "")}
    surfaces = {name: found.model_copy(update=cas) for name, found in audit.surfaces.items()}
    assert advised([row], audit.model_copy(update={"surfaces": surfaces}))[0].advice == advice


def test_the_worst_class_comes_first_and_equal_ones_in_the_order_of_their_labels():
    found = worst_first([class_row("a"), class_row("b", student=0.5), class_row("c"), class_row("d", student=0.7)])
    assert [row.name for row in found] == ["b", "d", "a", "c"]


def test_the_matrix_and_the_most_confused_pairs_stand_in_a_private_report_alone(report, private_report):
    pairs = [(pair["name"], pair["answer"], pair["count"], pair["of"]) for pair in private_report.data["confused"]]
    assert pairs == [("0", "1", 2, 36), ("1", "0", 1, 36), ("2", "0", 1, 36)]
    assert '<table class="matrix">' in private_report.html
    assert report.data["confused"] == []
    assert 'class="matrix"' not in report.html
    assert 'class="pairs"' not in report.html


def test_test_images_that_the_student_gets_wrong_are_shown_only_if_private_ones_are_requested(report, private_report):
    wrong = {decode_image(found.image).tobytes() for found in read_mistakes(private_report.inputs["audit"])}
    assert len(wrong) == 2
    assert wrong <= pixels_of(private_report)
    assert not wrong & pixels_of(report)
    listed = re.search(r'<ul class="mistakes">.*?</ul>', private_report.html, re.DOTALL)[0]
    assert re.findall(r"probability ([\d.]+)", listed) == ["0.88", "0.75"]
    assert 'class="mistakes"' not in report.html
