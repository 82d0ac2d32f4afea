"""What was found about a package, in words for people who know no attack."""

from __future__ import annotations

from collections.abc import Sequence

from tckr.artifacts.audit import AuditResult, Finding, FindingReason, Package, SurfaceResult
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.rounding import rounded
from tckr.surfaces import surface_title

COIN = 0.5

COUNTED: tuple[Finding, ...] = ("auc_above", "auc_of_runs", "auc_below")
"""Findings whose size is how often the attacker picks the right one of two images."""

OTHERWISE = {
    "tail": "the attacker is right about the few images that he is surest of",
    "canaries": "test images that were planted to find leaks were found",
    "images_tell": "who learns from the images tells yours from others",
}
"""Finding -> what it says, where the share of pairs does not say it."""


def leak_in_words(audit: AuditResult, package: Package) -> str:
    """Return how large the leak of a package is, or why nothing is known of it."""
    if audit.verdict.state == "invalid":
        return "The audit failed its own checks, so its numbers say nothing."
    surfaces = {name: found for name in package.deciding if (found := audit.surfaces.get(name))}
    if package.state == "leaks":
        return _stop(_leak(package, surfaces))
    if package.state == "no measurable leakage":
        return _stop(_silence(surfaces))
    return _stop(_gap(audit, package.deciding))


def picks(auc: Measured | None) -> str:
    """Return an AUC as `57 times of 100 [54, 60]`; below a half the attacker does as well by answering the other way."""
    if not isinstance(auc, Estimate):
        return "an unknown number of times"
    value, low, high = (100 * number for number in _ends(rounded(auc)))
    digits = 0 if min(abs(low - 50), abs(high - 50)) >= 1 and high - low >= 2 else 1
    return f"{value:.{digits}f} times of 100 [{low:.{digits}f}, {high:.{digits}f}]"


def largest_leak(audit: AuditResult) -> tuple[str, Estimate] | None:
    """Return title and AUC of the surface whose leak by AUC is largest, of all that some package exposes."""
    leaking = {name: found for name, found in audit.surfaces.items() if found.state == "leaks" and _counted(found)}
    name = max(leaking, key=lambda name: _distance(_counted(leaking[name])), default="")
    found = _counted(leaking[name]) if name else None
    return (surface_title(name), found) if found else None


def _leak(package: Package, surfaces: dict[str, SurfaceResult]) -> str:
    """Return the largest leak that pairs count, and the copies; where there is neither, what else was found."""
    together = [reason.found for reason in package.reasons if reason.kind == "auc_of_package"]
    if together and not any(found.state == "leaks" for found in surfaces.values()):
        return f"An attacker who holds all of it picks yours {picks(together[0])}"
    counted = {name: number for name, found in surfaces.items() if (number := _counted(found))}
    texts = []
    if counted:
        name = max(counted, key=lambda name: _distance(counted[name]))
        texts.append(f"The attacker picks yours {picks(counted[name])}{_by(name, surfaces)}")
    reasons = [reason for found in surfaces.values() for reason in found.reasons]
    texts += [_copies(reason) for reason in reasons if reason.kind == "near_copies"]
    texts += [] if texts else [OTHERWISE[kind] for kind in dict.fromkeys(reason.kind for reason in reasons)]
    return _capital("; ".join(texts))


def _counted(surface: SurfaceResult) -> Estimate | None:
    """Return the largest AUC among the findings of a surface that leaks."""
    found = [reason.found for reason in surface.reasons if reason.kind in COUNTED]
    return max((auc for auc in found if isinstance(auc, Estimate)), key=_distance, default=None)


def _by(name: str, surfaces: dict[str, SurfaceResult]) -> str:
    """Return through which part, where the package has several that leak."""
    return f", by the {surface_title(name)}" if len(surfaces) > 1 else ""


def _copies(reason: FindingReason) -> str:
    assert isinstance(reason.found, Estimate)
    excess = rounded(reason.found)
    low, high = (f"{100 * end:.1f}" for end in (excess.low, excess.high))
    return f"{100 * excess.value:.1f} of 100 images [{low}, {high}] are near-copies of yours, more than chance explains"


def _silence(surfaces: dict[str, SurfaceResult]) -> str:
    """Return the largest number of a package in which nothing was found, and what would have been found."""
    surface = max(surfaces.values(), key=lambda surface: _distance(surface.headline))
    power = max((found.detectable_auc or _power(found) for found in surfaces.values()), default=0.0)
    found = f"; a leak of {100 * power:.0f} would be found in 80 of 100 audits" if power else ""
    return f"The attacker picks yours {picks(surface.headline)}: no more than a coin{found}"


def _power(surface: SurfaceResult) -> float:
    return max((reason.detectable_auc or 0.0 for reason in surface.reasons), default=0.0)


def _gap(audit: AuditResult, deciding: Sequence[str]) -> str:
    """Return why nothing is known of what decides."""
    if not audit.measured:
        return "No attack was tried"
    weak = any((found := audit.surfaces.get(name)) and isinstance(found.headline, Estimate) for name in deciding)
    return (
        "Only a weak attack was tried; it found nothing, which is no evidence of safety" if weak else "No attack was tried"
    )


def _distance(auc: Measured | None) -> float:
    return abs(auc.value - COIN) if isinstance(auc, Estimate) else -1.0


def _ends(auc: Estimate) -> tuple[float, float, float]:
    """Return value and interval of what the attacker reaches: with an AUC below a half he answers the other way round."""
    return (1 - auc.value, 1 - auc.high, 1 - auc.low) if auc.high < COIN else (auc.value, auc.low, auc.high)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _stop(text: str) -> str:
    return text.rstrip(".") + "."
