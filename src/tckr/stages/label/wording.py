"""The message shown after `label` if the generator fails to generate some classes."""

from __future__ import annotations

from tckr.artifacts.agreement import Agreement, guessing_rate, is_mostly_wrong, low_classes, total_agreement

SHOWN = 3
"""Maximum number of classes in a message."""

WAY_OUT = "use a larger model (adapt.model), adapt it longer (adapt.steps) or on a GPU (docs/generators.md)"


def describe_low(agreement: Agreement, validation_accuracy: float | None) -> str:
    """Return a message on classes that the generator fails to generate, with advice; empty if there are none.

    Args:
        agreement: of the Teacher with the prompts of the synthetic images.
        validation_accuracy: of the Teacher, in [0, 1], if known; it shows whether the generator fails or the Teacher does
            not
            know the classes.
    """
    low, total = low_classes(agreement), total_agreement(agreement)
    worst = ", ".join(f"'{name}' {found.agree} of {found.n}" for name, found in list(low.items())[:SHOWN])
    if is_mostly_wrong(agreement):
        known = "" if validation_accuracy is None else f", and {validation_accuracy:.0%} of the private validation images"
        lowest = f", lowest {worst}" if worst else ""
        return (
            f"the Teacher recognises {total.rate:.0%} of the {total.n:,} synthetic images as the class they "
            f"were generated for ({guessing_rate(agreement):.0%} is guessing{lowest}){known}: too few "
            f"images show their class; {WAY_OUT}"
        )
    if not low:
        return ""
    more = " and others" if len(low) > SHOWN else ""
    return (
        f"the Teacher recognises fewer than half of the images generated for {len(low)} of {len(agreement)} classes "
        f"({worst}{more}): these images show something else; {WAY_OUT}, and check the captions of these classes"
    )
