"""Sentences on the value of the images alone: whether they show their class, and what a Student learns from them."""

from __future__ import annotations

from tckr.artifacts.agreement import Agreement, ClassAgreement, guessing_rate, is_mostly_wrong, total_agreement
from tckr.artifacts.audit import AuditResult
from tckr.html.numbers import fraction, measured_number, signed
from tckr.metrics.estimate import Estimate

SHOWN_CLASSES = 12
"""Number of classes that the console lists, those with the lowest agreement."""


def worth_sentences(audit: AuditResult, agreement: Agreement) -> list[str]:
    """Return the value of the images for a recipient who uses only them; empty if nothing was measured."""
    total, alone = total_agreement(agreement), audit.images_alone
    sentences = []
    if total.rate is not None:
        few = "too few show their class" if is_mostly_wrong(agreement) else ""
        counted = f"{fraction(total.rate)} [{fraction(total.low)}, {fraction(total.high)}]"
        ending = f": {few}." if few else "."
        sentences.append(
            f"Images: the Teacher recognises {counted} of {total.n:,} synthetic images as the class they were generated for "
            f"({fraction(guessing_rate(agreement))} is guessing){ending}"
        )
    if alone is not None:
        below = measured_number(alone.difference, signed).text
        reached, balanced = measured_number(alone.cas).text, measured_number(alone.balanced_cas).text
        sentences.append(
            "A recipient who uses only the images and the classes of their prompts, without the Teacher's labels, gets a "
            f"Student with accuracy {reached} (balanced {balanced}); minus the Teacher's: {below}.{_no_better(audit)}"
        )
    return sentences


def _no_better(audit: AuditResult) -> str:
    """Return a sentence if the Student of the images alone is not better than one constant answer; empty if it is better."""
    alone, largest = audit.images_alone, audit.largest_class
    if alone is None or largest is None or not isinstance(alone.over_largest, Estimate) or alone.over_largest.low > 0:
        return ""
    return f" By accuracy this is not better than always predicting '{largest.name}'."


def worth_phrase(agreement: Agreement) -> str:
    """Return a headline phrase if too few images show their class; empty if they do, or if nothing was measured."""
    return "too few images show their class" if is_mostly_wrong(agreement) else ""


def classes_line(agreement: Agreement) -> str:
    """Return the agreement by class on one line, in the order of the classes; empty if nothing was measured."""
    counted = {name: found for name, found in agreement.items() if found.n}
    lowest = sorted(counted, key=lambda name: _rate(counted[name]))[:SHOWN_CLASSES]
    shown = ", ".join(f"{name} {_rate(found):.2f}" for name, found in counted.items() if name in lowest)
    more = f" (lowest {SHOWN_CLASSES} of {len(counted)})" if len(counted) > SHOWN_CLASSES else ""
    return f"Agreement by class{more}: {shown}" if shown else ""


def _rate(found: ClassAgreement) -> float:
    return found.agree / found.n
