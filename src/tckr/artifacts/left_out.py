"""`left_out.json`: the synthetic images that the Student does not learn from."""

from __future__ import annotations

from typing import ClassVar

from tckr.artifacts.document import Document


class LeftOut(Document):
    """The images to whose class the Teacher gives too little probability.

    Attributes:
        min_teacher_probability: what an image's own class must at least have.
        classes: class name -> {"n": images made for it, "left_out": those that were left out}.
        indices: `index` of the images that were left out, increasing.
    """

    file_name: ClassVar[str] = "left_out.json"

    min_teacher_probability: float
    classes: dict[str, dict[str, int]]
    indices: list[int]
