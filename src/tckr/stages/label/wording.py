"""The sentence that the console shows after `label`, where the generator cannot draw its classes."""

from __future__ import annotations

from tckr.artifacts.agreement import Agreement, guessing_rate, is_mostly_wrong, low_classes, total_agreement

SHOWN = 3
"""Classes that a message names."""

WAY_OUT = "use a larger model (adapt.model), adapt it longer (adapt.steps) or on a GPU (docs/generators.md)"


def describe_low(agreement: Agreement, validation_accuracy: float | None) -> str:
    """Return in one sentence what the generator cannot draw, with the way out; empty where it draws every class.

    Args:
        agreement: of the synthetic images.
        validation_accuracy: of the Teacher, in [0, 1], where known: it tells a generator that cannot draw from a Teacher
            that does not know the classes.
    """
    low, total = low_classes(agreement), total_agreement(agreement)
    worst = ", ".join(f"'{name}' {found.agree} of {found.n}" for name, found in list(low.items())[:SHOWN])
    if is_mostly_wrong(agreement):
        known = "" if validation_accuracy is None else f", and {validation_accuracy:.0%} of the private validation images"
        lowest = f", lowest {worst}" if worst else ""
        return (
            f"the Teacher recognises {total.rate:.0%} of the {total.n:,} synthetic images as the class they were made for "
            f"({guessing_rate(agreement):.0%} is guessing{lowest}){known}: most images do not show their class; {WAY_OUT}"
        )
    if not low:
        return ""
    more = " and others" if len(low) > SHOWN else ""
    return (
        f"the Teacher recognises fewer than half of the images made for {len(low)} of {len(agreement)} classes "
        f"({worst}{more}): the generator draws something else there; {WAY_OUT}, and check these classes' captions"
    )
