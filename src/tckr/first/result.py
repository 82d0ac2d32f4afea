"""The numbers of a run that are known before its audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tckr.artifacts.agreement import Agreement, read_agreement, total_agreement
from tckr.first.validation import VALIDATE, Validation
from tckr.metrics.estimate import Estimate, Measured


@dataclass(frozen=True, kw_only=True)
class FirstResult:
    """What the validation split and the Teacher say of the Student and of the synthetic images.

    Attributes:
        agreement: class name -> how often the Teacher recognises the class's images.
    """

    teacher: Measured
    student: Measured
    agreement: Agreement

    @classmethod
    def read(cls, artifacts: Mapping[str, Path]) -> FirstResult:
        """Return the result; `artifacts` are folders by the names of steps, of `label` and `validate`."""
        found = Validation.read(artifacts[VALIDATE])
        return cls(teacher=found.teacher, student=found.student, agreement=read_agreement(artifacts["label"]))

    @property
    def sentence(self) -> str:
        """Return the result in one line."""
        return f"accuracy on {self.images}: Student {self.student}, Teacher {self.teacher}{self._recognised}"

    @property
    def images(self) -> str:
        """Return what the accuracy was measured on."""
        number = f"{self.student.n:,} " if isinstance(self.student, Estimate) else ""
        return f"{number}validation images"

    @property
    def _recognised(self) -> str:
        rate = total_agreement(self.agreement).rate
        return "" if rate is None else f"; the Teacher recognises {rate:.0%} of the synthetic images"
