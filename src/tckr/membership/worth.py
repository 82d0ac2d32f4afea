"""What the synthetic images are worth by themselves: whether they show their class, and what learns from them alone."""

from __future__ import annotations

from tckr.artifacts.agreement import Agreement, ClassAgreement, guessing_rate, is_mostly_wrong, total_agreement
from tckr.artifacts.audit import AuditResult
from tckr.html.numbers import fraction, measured_number, signed
from tckr.metrics.estimate import Estimate

SHOWN_CLASSES = 12
"""Classes that the console names; of more, those of lowest agreement."""


def worth_sentences(audit: AuditResult, agreement: Agreement) -> list[str]:
    """Return what the images are worth to somebody who trusts only them; empty where nothing was counted."""
    total, alone = total_agreement(agreement), audit.images_alone
    sentences = []
    if total.rate is not None:
        few = "most do not show their class" if is_mostly_wrong(agreement) else ""
        counted = f"{fraction(total.rate)} [{fraction(total.low)}, {fraction(total.high)}]"
        ending = f": {few}." if few else "."
        sentences.append(
            f"Images: the Teacher recognises {counted} of {total.n:,} synthetic images as the class they were made for "
            f"({fraction(guessing_rate(agreement))} is guessing){ending}"
        )
    if alone is not None:
        below = measured_number(alone.difference, signed).text
        reached, balanced = measured_number(alone.cas).text, measured_number(alone.balanced_cas).text
        sentences.append(
            "A receiver who trusts only the images and the classes of their prompts, not the Teacher's labels, gets a "
            f"Student with accuracy {reached} (balanced {balanced}); less the Teacher's: {below}.{_no_better(audit)}"
        )
    return sentences


def _no_better(audit: AuditResult) -> str:
    """Return that the Student of the images alone is no better than one answer for all; empty where it is."""
    alone, largest = audit.images_alone, audit.largest_class
    if alone is None or largest is None or not isinstance(alone.over_largest, Estimate) or alone.over_largest.low > 0:
        return ""
    return f" By accuracy that is no better than always answering '{largest.name}'."


def worth_phrase(agreement: Agreement) -> str:
    """Return for a headline that the images do not show their classes; empty where they do, or nothing was counted."""
    return "most images do not show their class" if is_mostly_wrong(agreement) else ""


def classes_line(agreement: Agreement) -> str:
    """Return the agreement by class in one line, in the order of the classes; empty where nothing was counted."""
    counted = {name: found for name, found in agreement.items() if found.n}
    lowest = sorted(counted, key=lambda name: _rate(counted[name]))[:SHOWN_CLASSES]
    shown = ", ".join(f"{name} {_rate(found):.2f}" for name, found in counted.items() if name in lowest)
    more = f" (lowest {SHOWN_CLASSES} of {len(counted)})" if len(counted) > SHOWN_CLASSES else ""
    return f"Agreement by class{more}: {shown}" if shown else ""


def _rate(found: ClassAgreement) -> float:
    return found.agree / found.n
