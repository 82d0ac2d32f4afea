"""Scales of the values in a given table: logit-scaled confidences, probabilities or losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tckr.errors import UserError
from tckr.membership.units import means

SMALLEST = 1e-16
"""Minimum distance of probabilities from 0 and 1, and minimum loss; values closer are clipped to it."""

SURE = 6.0
"""Standard deviations by which members must have lower values for a remark: chance exceeds it once in a billion tables."""

RANGES = {"probability": (0.0, 1.0), "loss": (0.0, np.inf)}


def scaled(values: np.ndarray, kind: str, name: str) -> np.ndarray:
    """Return `log p - log(1 - p)` for probabilities p of the true label, or for losses `-log p`; logits unchanged.

    Raises:
        UserError: a value is not a probability, or not a loss.
    """
    if kind == "logit":
        return values
    low, high = RANGES[kind]
    if values.min() < low or values.max() > high:
        raise UserError(
            f"{name} contains values from {values.min():g} to {values.max():g}; expected {low:g} to {high:g} with "
            f"audit.signal={kind}; omit audit.signal if higher values indicate members"
        )
    if kind == "probability":
        return np.log(np.maximum(values, SMALLEST)) - np.log(np.maximum(1 - values, SMALLEST))
    loss = np.maximum(values, SMALLEST)
    return -loss - np.log(-np.expm1(-loss))


def remarks(
    signals: Mapping[str, np.ndarray], members_RN: np.ndarray, kind: str, groups: np.ndarray | None = None
) -> Iterator[str]:
    """Yield a remark for every signal whose values look like another kind, with the setting for that kind."""
    for name, values in signals.items() if kind == "logit" else ():
        if values.min() >= 0 and values.max() <= 1:
            yield f"{name}: all values are between 0 and 1; if they are probabilities, give audit.signal=probability"
        elif values.min() >= 0:
            yield f"{name}: no value is negative; if they are losses, give audit.signal=loss"
        if members_answer_lower(values, members_RN[: len(values)], groups):
            yield f"{name}: members have lower values than others in the reference runs; is the sign of the signal wrong?"
        if len(values) > values.shape[1]:
            yield f"{name}: {len(values)} runs of {values.shape[1]} records; if the rows are records, transpose the table"


def members_answer_lower(values_RN: np.ndarray, members_RN: np.ndarray, groups: np.ndarray | None = None) -> bool:
    """Return whether members have lower values than non-members in the reference runs, far beyond chance.

    Uses a t-statistic over the records, or groups [N] of them, that have both kinds of reference runs.
    """
    inside, outside = members_RN[1:], ~members_RN[1:]
    both = inside.any(axis=0) & outside.any(axis=0)
    if both.sum() < 2:
        return False
    sides = (side[:, both] for side in (inside, outside))
    seen, unseen = ((values_RN[1:][:, both] * side).sum(axis=0) / side.sum(axis=0) for side in sides)
    gap_N = seen - unseen if groups is None else means(seen - unseen, np.unique(groups[both], return_inverse=True)[1])
    return bool(gap_N.mean() < -SURE * max(gap_N.std() / len(gap_N) ** 0.5, 1e-300))
