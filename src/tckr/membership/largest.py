"""Compare models with always predicting the largest class, and report those that are not better."""

from __future__ import annotations

from tckr.artifacts.audit import AuditResult
from tckr.html.numbers import fraction
from tckr.metrics.estimate import Estimate
from tckr.surfaces import CLASSIFIERS, surface_title


def no_better_models(audit: AuditResult) -> list[str]:
    """Return the titles of classifiers that are not measurably better than always predicting the largest class."""
    over = {name: audit.surfaces[name].over_largest for name in CLASSIFIERS if name in audit.surfaces}
    return [surface_title(name) for name, found in over.items() if isinstance(found, Estimate) and found.low <= 0]


def no_better_sentence(audit: AuditResult) -> str:
    """Return a sentence on models that are not better than always predicting the largest class; empty if all are better."""
    models = no_better_models(audit)
    if not models or audit.largest_class is None:
        return ""
    name, share = audit.largest_class.name, fraction(audit.largest_class.share)
    balanced = [audit.surfaces[key].balanced_cas for key in CLASSIFIERS if surface_title(key) in models]
    shown = " and ".join(str(found) for found in balanced)
    return (
        f"{_who(models)} by accuracy not better than always predicting '{name}', the class of {share} of the test images "
        f"(balanced accuracy {shown}; {fraction(1 / _num_classes(audit))} is guessing)."
    )


def no_better_phrase(audit: AuditResult) -> str:
    """Return the same for a headline; empty if all are better."""
    models = no_better_models(audit)
    if not models or audit.largest_class is None:
        return ""
    return f"{_who(models)} by accuracy not better than always predicting '{audit.largest_class.name}'"


def largest_note(audit: AuditResult) -> str:
    """Return the accuracy of always predicting the largest class, as a note; empty if it is unknown."""
    largest = audit.largest_class
    return f"always predicting '{largest.name}' gives {fraction(largest.share)}" if largest else ""


def _who(models: list[str]) -> str:
    return f"{' and '.join(models)} {'are' if len(models) > 1 else 'is'}"


def _num_classes(audit: AuditResult) -> int:
    return max(1, len(audit.surfaces["teacher"].per_class))
