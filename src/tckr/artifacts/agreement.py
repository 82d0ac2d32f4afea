"""`agreement.json`: how often the Teacher assigns a synthetic image to the class of its prompt, by class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tckr.artifacts.document import read_json, write_json
from tckr.metrics.proportions import wilson

FILE_NAME = "agreement.json"

LOW_AGREEMENT = 0.5
"""Below this rate most images of a class show something else than their prompt."""

CONFIDENCE = 0.95


class ClassAgreement(BaseModel):
    """Agreement on the images of one class.

    Attributes:
        n: images generated for the class.
        agree: those that the Teacher assigns to it.
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


def agreement_of_counts(n: int, agree: int) -> ClassAgreement:
    """Return the agreement of `agree` of `n` images, with an interval for the rate of the generator."""
    low, high = wilson(agree, n, CONFIDENCE)
    return ClassAgreement(n=n, agree=agree, low=low, high=high)


Agreement = dict[str, ClassAgreement]
"""Class name -> its agreement."""

_AGREEMENT: TypeAdapter[Agreement] = TypeAdapter(Agreement)


def write_agreement(folder: Path, agreement: Mapping[str, ClassAgreement]) -> None:
    """Write the agreement of all classes into `folder`."""
    write_json(folder / FILE_NAME, {name: found.model_dump() for name, found in agreement.items()})


def read_agreement(folder: Path) -> Agreement:
    """Return the agreement of all classes, in the order of their labels; empty if it was not measured."""
    path = folder / FILE_NAME
    return _AGREEMENT.validate_python(read_json(path)) if path.exists() else {}


def total_agreement(agreement: Mapping[str, ClassAgreement]) -> ClassAgreement:
    """Return the agreement over the images of all classes."""
    return agreement_of_counts(
        sum(found.n for found in agreement.values()), sum(found.agree for found in agreement.values())
    )


def low_classes(agreement: Mapping[str, ClassAgreement]) -> dict[str, ClassAgreement]:
    """Return the classes that have images and an agreement below LOW_AGREEMENT, lowest first."""
    low = {name: found for name, found in agreement.items() if found.rate is not None and found.rate < LOW_AGREEMENT}
    return dict(sorted(low.items(), key=lambda item: item[1].agree / item[1].n))


def guessing_rate(agreement: Mapping[str, ClassAgreement]) -> float:
    """Return the agreement of a Teacher that guesses: one over the number of classes."""
    return 1 / max(1, len(agreement))


def is_mostly_wrong(agreement: Mapping[str, ClassAgreement]) -> bool:
    """Return whether the agreement over all classes is closer to guessing than to 1; False without images."""
    rate = total_agreement(agreement).rate
    return rate is not None and rate < (1 + guessing_rate(agreement)) / 2
