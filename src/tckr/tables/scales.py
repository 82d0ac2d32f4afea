"""What the values of a given table are: logit-scaled confidences, probabilities or losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tckr.errors import UserError
from tckr.membership.units import means

SMALLEST = 1e-16
"""Probabilities this near to 0 or 1, and losses this near to 0, are taken for this."""

SURE = 6.0
"""Standard deviations by which members answer lower: chance alone shows it once in a billion tables."""

RANGES = {"probability": (0.0, 1.0), "loss": (0.0, np.inf)}


def scaled(values: np.ndarray, kind: str, name: str) -> np.ndarray:
    """Return `log p - log(1 - p)` of probabilities p of the right label, or of losses `-log p`; logits as they are.

    Raises:
        UserError: a value that is no probability or no loss.
    """
    if kind == "logit":
        return values
    low, high = RANGES[kind]
    if values.min() < low or values.max() > high:
        raise UserError(
            f"{name} holds values from {values.min():g} to {values.max():g}; expected {low:g} to {high:g} with "
            f"audit.signal={kind}; leave audit.signal out where higher values mean rather a member"
        )
    if kind == "probability":
        return np.log(np.maximum(values, SMALLEST)) - np.log(np.maximum(1 - values, SMALLEST))
    loss = np.maximum(values, SMALLEST)
    return -loss - np.log(-np.expm1(-loss))


def remarks(
    signals: Mapping[str, np.ndarray], members_RN: np.ndarray, kind: str, groups: np.ndarray | None = None
) -> Iterator[str]:
    """Yield for every signal that looks like something else what it looks like and which setting would say so."""
    for name, values in signals.items() if kind == "logit" else ():
        if values.min() >= 0 and values.max() <= 1:
            yield f"{name}: all values are between 0 and 1; if they are probabilities, give audit.signal=probability"
        elif values.min() >= 0:
            yield f"{name}: no value is negative; if they are losses, give audit.signal=loss"
        if members_answer_lower(values, members_RN[: len(values)], groups):
            yield f"{name}: members answer lower than others in the reference runs; has the signal the wrong sign?"
        if len(values) > values.shape[1]:
            yield f"{name}: {len(values)} runs of {values.shape[1]} records; if rows are records, transpose the table"


def members_answer_lower(values_RN: np.ndarray, members_RN: np.ndarray, groups: np.ndarray | None = None) -> bool:
    """Return whether reference runs that saw a record answer lower than those that did not, far beyond chance.

    A t-statistic over the records, or groups [N] of them, that have both kinds of reference runs.
    """
    inside, outside = members_RN[1:], ~members_RN[1:]
    both = inside.any(axis=0) & outside.any(axis=0)
    if both.sum() < 2:
        return False
    sides = (side[:, both] for side in (inside, outside))
    seen, unseen = ((values_RN[1:][:, both] * side).sum(axis=0) / side.sum(axis=0) for side in sides)
    gap_N = seen - unseen if groups is None else means(seen - unseen, np.unique(groups[both], return_inverse=True)[1])
    return bool(gap_N.mean() < -SURE * max(gap_N.std() / len(gap_N) ** 0.5, 1e-300))
