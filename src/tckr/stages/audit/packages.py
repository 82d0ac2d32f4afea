"""What was found about each surface, and about what a user may want to release together. Knows no attack."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.results import CopiesResult, LeakTest, OneRunBound, Package, SurfaceResult
from tckr.metrics.rounding import bound_below, rounded
from tckr.stages.audit.canaries import CanaryBounds
from tckr.stages.audit.family import Family

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
    family: Family,
    *,
    level: float,
    copies: CopiesResult | None,
    copies_level: float,
    canaries: CanaryBounds,
    images_tell: bool,
) -> dict[str, SurfaceResult]:
    """Return the surfaces with their states.

    A surface leaks when one of its statistics is as surprising as any in the audit at `level`: the target's AUC, that of all
    runs together (what training like this leaks, whatever this one did), the members among its highest scores, its
    canaries; the images also when near-copies of members exceed those of others at `copies_level`, or when what learned from
    them tells (`images_tell`). Nothing is called private; without reference runs finding nothing says nothing.
    """
    found = {}
    for name, surface in surfaces.items():
        tests = [test for test in family.tests.get(name, []) if test.attack in (surface.attack, "")]
        surface = surface.model_copy(update={"tests": tests, "detectable_auc": _detectable(surface, family, name)})
        leaks = [_said(test, surface, canaries.get(name, {})) for test in tests if test.family_p_value <= level]
        if name == "images":
            leaks += [*copy_leaks(copies, copies_level), *([TELLING_IMAGES] if images_tell else [])]
        found[name] = surface.model_copy(update=_state(surface, leaks))
    return found


def _detectable(surface: SurfaceResult, family: Family, name: str) -> float | None:
    """Return the smallest AUC that would probably be found; None for an attack without references."""
    return family.detectable_auc.get(name) if surface.epsilon_lower_bound else None


def _said(test: LeakTest, surface: SurfaceResult, canaries: Mapping[str, object]) -> str:
    """Return what a statistic says that was found; p counts all statistics of the audit."""
    auc, bound = surface.headline, surface.epsilon_lower_bound
    if test.name == "above":
        text = f"AUC {supported(auc)}"
    elif test.name == "below":
        text = f"AUC {supported(auc)} is below 0.5: members answer lower; has the signal the wrong sign?"
    elif test.name == "runs":
        runs = surface.leave_one_out.get(surface.attack)
        text = f"mean AUC of all runs {supported(runs.mean if runs else None)}"
    elif test.name == "tail":
        assert bound is not None
        text = f"epsilon at least {bound_below(bound.value):g}" if bound.value else "the surest records are members"
    else:
        proven = canaries.get(test.name.partition(" ")[0])
        value = proven.value if isinstance(proven, OneRunBound) else 0.0
        without = f"{test.name} guessed better than by chance"
        text = f"epsilon at least {bound_below(value):g} by canaries" if value else without
    return f"{text} ({_p(test.family_p_value)})"


def copy_leaks(copies: CopiesResult | None, level: float) -> list[str]:
    """Return the excess of near-copies of members, if there is one."""
    if copies is None or copies.p_value is None or copies.p_value > level:
        return []
    return [f"excess of near-copies {supported(copies.excess)} ({_p(copies.p_value)}, needed {level:g})"]


def _p(p_value: float) -> str:
    """Return a p-value with one digit: a shared report repeats it."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.1g}"


def supported(number: Measured | None) -> str:
    """Return a number with the digits that its interval supports, at most three decimals: a shared report repeats it."""
    if not isinstance(number, Estimate):
        return "not measurable"
    number = rounded(number)
    return f"{number.value:.3f} [{number.low:.3f}, {number.high:.3f}]"


def _state(surface: SurfaceResult, leaks: list[str]) -> dict[str, str]:
    auc = surface.headline
    if leaks:
        return {"state": "leaks", "why": "; ".join(leaks)}
    if not isinstance(auc, Estimate):
        return {"state": "not measured", "why": "no attack"}
    if not surface.epsilon_lower_bound:
        return {"state": "not measured", "why": f"attacked without references only, AUC {supported(auc)}"}
    smallest = min((test.family_p_value for test in surface.tests), default=1.0)
    power = surface.detectable_auc
    found = f"; an AUC of {power:.2f} would be found in 80 of 100 audits" if power else ""
    return {"state": "no measurable leakage", "why": f"AUC {supported(auc)}, smallest {_p(smallest)}{found}"}


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
