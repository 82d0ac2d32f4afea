"""The arrays an audit is made of. They may come from our models or from anyone's.

Shape suffixes: R runs (row 0 = target, 1.. = reference runs), N pool records, T test images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import softmax

SURFACES = ("teacher", "student")

NO_REFERENCES = "no reference runs of this surface at depth `teacher`; use audit.depth=distill"


@dataclass(frozen=True)
class Predictions:
    """Predicted class int64 [T] and its probability float64 [T] on the locked test split."""

    classes: np.ndarray
    confidences: np.ndarray

    @classmethod
    def from_logits(cls, logits_TK: np.ndarray) -> Predictions:
        """Take predictions and their probabilities from logits."""
        probabilities = softmax(logits_TK.astype(np.float64), axis=1)
        return cls(probabilities.argmax(axis=1), probabilities.max(axis=1))


@dataclass(frozen=True)
class RecordAnswers:
    """What models say about the pool: signals float64 [..., N], and whether each prediction was right, bool [..., N]."""

    signals: np.ndarray
    correct: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that is judged.

    Attributes:
        class_names: index = label.
        labels: int64 [N], of the pool.
        members: the membership matrix, bool [R, N], row 0 the target's.
        test_labels: int64 [T].
        test: by surface.
        pool: by surface, [R, N]; one row where a surface has no reference runs; empty when membership is not measured.
        controls: `null` and `positive`, [N].
        why_no_references: what to say of a surface that has one row.
    """

    class_names: list[str]
    labels: np.ndarray
    members: np.ndarray
    test_labels: np.ndarray
    test: Mapping[str, Predictions]
    pool: Mapping[str, RecordAnswers] = field(default_factory=dict)
    controls: Mapping[str, RecordAnswers] = field(default_factory=dict)
    why_no_references: str = NO_REFERENCES

    def has_references(self, surface: str) -> bool:
        """Return whether `surface` can be attacked with reference runs."""
        return len(self.pool[surface].signals) > 1

    def members_of(self, surface: str) -> np.ndarray:
        """Return the rows of the membership matrix that `surface` has signals for."""
        return self.members[: len(self.pool[surface].signals)]

    def without_references(self, surface: str, reason: str) -> Evidence:
        """Return the same evidence with the target as the only run of `surface`."""
        answers = self.pool[surface]
        alone = RecordAnswers(answers.signals[:1], answers.correct[:1])
        return replace(self, pool={**self.pool, surface: alone}, why_no_references=reason)
