"""Is a model better than always answering the largest class? What to say first where it is not."""

from __future__ import annotations

from tckr.artifacts.audit import AuditResult
from tckr.html.numbers import fraction
from tckr.metrics.estimate import Estimate
from tckr.surfaces import CLASSIFIERS, surface_title


def no_better_models(audit: AuditResult) -> list[str]:
    """Return the classifiers that the test images do not tell from always answering the largest class, by their titles."""
    over = {name: audit.surfaces[name].over_largest for name in CLASSIFIERS if name in audit.surfaces}
    return [surface_title(name) for name, found in over.items() if isinstance(found, Estimate) and found.low <= 0]


def no_better_sentence(audit: AuditResult) -> str:
    """Return that a model is no better than always answering the largest class; empty where all are better."""
    models = no_better_models(audit)
    if not models or audit.largest_class is None:
        return ""
    name, share = audit.largest_class.name, fraction(audit.largest_class.share)
    balanced = [audit.surfaces[key].balanced_cas for key in CLASSIFIERS if surface_title(key) in models]
    shown = " and ".join(str(found) for found in balanced)
    return (
        f"{_who(models)} by accuracy no better than always answering '{name}', the class of {share} of the test images "
        f"(balanced accuracy {shown}; {fraction(1 / _num_classes(audit))} is guessing)."
    )


def no_better_phrase(audit: AuditResult) -> str:
    """Return the same for a headline; empty where all are better."""
    models = no_better_models(audit)
    if not models or audit.largest_class is None:
        return ""
    return f"{_who(models)} by accuracy no better than always answering '{audit.largest_class.name}'"


def largest_note(audit: AuditResult) -> str:
    """Return what stands beside an accuracy: the share of the largest class; empty where it is not known."""
    largest = audit.largest_class
    return f"always answering '{largest.name}' gives {fraction(largest.share)}" if largest else ""


def _who(models: list[str]) -> str:
    return f"{' and '.join(models)} {'are' if len(models) > 1 else 'is'}"


def _num_classes(audit: AuditResult) -> int:
    return max(1, len(audit.surfaces["teacher"].per_class))
