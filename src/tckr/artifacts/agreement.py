"""`agreement.json`: how often the Teacher recognises a synthetic image as the class of its prompt, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tckr.artifacts.document import read_json, write_json

FILE_NAME = "agreement.json"


class ClassAgreement(BaseModel):
    """Agreement on the images of one class.

    Attributes:
        n: images that were made for the class.
        agree: those that the Teacher takes for it.
        low: lower end of the 95 % Wilson interval of `agree / n`.
        high: upper end of that interval.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int
    agree: int
    low: float
    high: float

    @property
    def rate(self) -> float | None:
        """Return `agree / n`; None without images."""
        return self.agree / self.n if self.n else None


Agreement = dict[str, ClassAgreement]
"""Class name -> its agreement."""

_AGREEMENT: TypeAdapter[Agreement] = TypeAdapter(Agreement)


def write_agreement(folder: Path, agreement: Mapping[str, ClassAgreement]) -> None:
    """Write the agreement of all classes into `folder`."""
    write_json(folder / FILE_NAME, {name: found.model_dump() for name, found in agreement.items()})


def read_agreement(folder: Path) -> Agreement:
    """Return the agreement of all classes, in the order of their labels; empty where it was not counted."""
    path = folder / FILE_NAME
    return _AGREEMENT.validate_python(read_json(path)) if path.exists() else {}
