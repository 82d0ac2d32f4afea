"""What was found about each surface, and about what a user may want to release together. Knows no attack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tckr.metrics.estimate import Estimate
from tckr.metrics.results import CopiesResult, OneRunBound, Package, SurfaceResult
from tckr.metrics.rounding import bound_below, rounded
from tckr.stages.audit.canaries import CanaryBounds

PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Student": ("student",),
        "synthetic images": ("images",),
        "images and soft labels": ("images", "soft_labels"),
        "images, soft labels and Student": ("images", "soft_labels", "student"),
        "images, soft labels and prompts": ("images", "soft_labels", "captions"),
        "adapter": ("adapter", "images"),  # whoever has the adapter draws as many images as he likes
        "Teacher": ("teacher",),
    }
)

TELLING_IMAGES = "who learned from the images and nothing else tells their members (check: shared generator)"


def stated(
    surfaces: Mapping[str, SurfaceResult],
    *,
    copies: CopiesResult | None,
    canaries: CanaryBounds,
    images_tell: bool,
) -> dict[str, SurfaceResult]:
    """Return the surfaces with their states.

    A surface leaks when the interval of its headline AUC lies above 0.5, or that of the mean over all runs (what training
    like this leaks, whatever this one did), or when its epsilon bound or that of its canaries is above 0; the images also
    when there are more near-copies of members than of others, or when what learned from them tells (`images_tell`).
    Each criterion holds at its own level, not all of them together: a sound surface may be said to leak more often than
    one interval is wrong. Nothing is called private; without reference runs finding nothing says nothing.
    """
    found = {}
    for name, surface in surfaces.items():
        leaks = [*leaks_of(surface), *canary_leaks(canaries.get(name, {}).values())]
        if name == "images":
            leaks += [*copy_leaks(copies), *([TELLING_IMAGES] if images_tell else [])]
        found[name] = surface.model_copy(update=_state(surface, leaks))
    return found


def leaks_of(surface: SurfaceResult) -> list[str]:
    """Return what the declared attack shows."""
    auc, bound = surface.headline, surface.epsilon_lower_bound
    runs = surface.leave_one_out[surface.attack].mean if surface.attack in surface.leave_one_out else None
    found = [f"AUC {supported(auc)}"] if isinstance(auc, Estimate) and auc.low > 0.5 else []
    found += [f"mean AUC of all runs {supported(runs)}"] if isinstance(runs, Estimate) and runs.low > 0.5 else []
    return found + ([f"epsilon at least {bound_below(bound.value):g}"] if bound and bound.value > 0 else [])


def canary_leaks(bounds: Iterable[object]) -> list[str]:
    """Return what the canaries prove."""
    values = [bound.value for bound in bounds if isinstance(bound, OneRunBound) and bound.value > 0]
    return [f"epsilon at least {bound_below(max(values)):g} by canaries"] if values else []


def copy_leaks(copies: CopiesResult | None) -> list[str]:
    """Return the excess of near-copies of members, if there is one."""
    excess = copies.excess if copies else None
    return [f"excess of near-copies {supported(excess)}"] if isinstance(excess, Estimate) and excess.low > 0 else []


def supported(number: Estimate) -> str:
    """Return a number with the digits that its interval supports, at most three decimals: a shared report repeats it."""
    number = rounded(number)
    return f"{number.value:.3f} [{number.low:.3f}, {number.high:.3f}]"


def _state(surface: SurfaceResult, leaks: list[str]) -> dict[str, str]:
    auc = surface.headline
    if leaks:
        return {"state": "leaks", "why": "; ".join(leaks)}
    if not isinstance(auc, Estimate):
        return {"state": "not measured", "why": "no attack"}
    if not surface.leave_one_out:
        return {"state": "not measured", "why": f"attacked without references only, AUC {supported(auc)}"}
    return {"state": "no measurable leakage", "why": f"AUC {supported(auc)}"}


def packages(surfaces: Mapping[str, SurfaceResult]) -> list[Package]:
    """Return every package with the worst state of what it exposes: leakage anywhere decides, then a gap."""
    return [_package(name, exposes, surfaces) for name, exposes in PACKAGES.items()]


def _package(name: str, exposes: tuple[str, ...], surfaces: Mapping[str, SurfaceResult]) -> Package:
    found = {surface: surfaces[surface] for surface in exposes if surface in surfaces}
    for state in ("leaks", "not measured"):
        deciding = [
            f"{surface}: {result.why or 'audit invalid'}" for surface, result in found.items() if result.state == state
        ]
        missing = [f"{surface}: not measured" for surface in exposes if surface not in found and state == "not measured"]
        if deciding or missing:
            return Package(name=name, exposes=list(exposes), state=state, reason="; ".join(deciding + missing))
    reason = "; ".join(f"{surface}: {result.why}" for surface, result in found.items())
    return Package(name=name, exposes=list(exposes), state="no measurable leakage", reason=reason)
