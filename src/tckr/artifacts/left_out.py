"""`left_out.json`: the synthetic images that the Student is not trained on."""

from __future__ import annotations

from typing import ClassVar

from tckr.artifacts.document import Document


class LeftOut(Document):
    """Images to whose class the Teacher gives too low a probability.

    Attributes:
        min_teacher_probability: minimum probability of the class of an image's prompt.
        classes: class name -> {"n": images generated for it, "left_out": those left out}.
        indices: `index` of the images left out, increasing.
    """

    file_name: ClassVar[str] = "left_out.json"

    min_teacher_probability: float
    classes: dict[str, dict[str, int]]
    indices: list[int]
