"""What a user may want to release, what each exposes, and the worst that the audit found of it. Knows no attack."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tckr.metrics.estimate import Estimate
from tckr.metrics.results import CopiesResult, Package, SurfaceResult

PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Student": ("student",),
        "synthetic images": ("images",),
        "images and soft labels": ("images", "soft_labels"),
        "images, soft labels and prompts": ("images", "soft_labels", "captions"),
        "adapter": ("adapter", "images"),  # whoever has the adapter draws as many images as he likes
        "Teacher": ("teacher",),
    }
)


def packages(surfaces: Mapping[str, SurfaceResult], copies: CopiesResult | None) -> list[Package]:
    """Return every package with the state of its most exposed surface.

    A surface leaks when the interval of its headline AUC lies above 0.5, images also when that of the excess of near-copies
    lies above 0. Nothing is called private: an interval that contains 0.5 means that this attack measured nothing.
    """
    excess = copies.excess if copies else None
    copied = f"images: excess of near-copies {excess}" if isinstance(excess, Estimate) and excess.low > 0 else ""
    return [package(name, exposes, surfaces, copied if "images" in exposes else "") for name, exposes in PACKAGES.items()]


def package(name: str, exposes: tuple[str, ...], surfaces: Mapping[str, SurfaceResult], copied: str) -> Package:
    """Return one package; leakage anywhere decides, then a gap in what was measured. `copied` says so of its images."""
    found = {surface: surfaces[surface].headline if surface in surfaces else None for surface in exposes}
    leaking = {surface: auc for surface, auc in found.items() if isinstance(auc, Estimate) and auc.low > 0.5}
    gaps = [surface for surface, auc in found.items() if not isinstance(auc, Estimate)]
    if leaking or copied:
        worst = max(leaking, key=lambda surface: leaking[surface].value, default="")
        reasons = ([f"{worst}: AUC {leaking[worst]}"] if worst else []) + ([copied] if copied else [])
        return Package(name=name, exposes=list(exposes), state="leaks", reason="; ".join(reasons))
    if gaps:
        return Package(name=name, exposes=list(exposes), state="not measured", reason=f"not measured: {', '.join(gaps)}")
    reason = "; ".join(f"{surface}: AUC {auc}" for surface, auc in found.items())
    return Package(name=name, exposes=list(exposes), state="no measurable leakage", reason=reason)
