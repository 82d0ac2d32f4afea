"""Packages: what is usually released together, and the attack on all of its surfaces at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.package import PackageScores, attack_package
from tckr.surfaces import SURFACES

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

ALL = "all surfaces"
"""The package of a given table whose surfaces have names of their own."""


def packages_of(evidence: Evidence) -> Mapping[str, tuple[str, ...]]:
    """Return package -> the surfaces that it exposes: those of a run, or all that a given table has."""
    return PACKAGES if set(evidence.surfaces) <= set(SURFACES) else {ALL: tuple(evidence.surfaces)}


def attack_packages(config: MembershipConfig, evidence: Evidence) -> dict[str, PackageScores]:
    """Return the declared attack on every package of which reference runs repeated at least two surfaces.

    What each surface weighs is learned where reference runs attack one another, so their members must have been drawn
    independently.
    """
    if not evidence.independent_runs:
        return {}
    repeated = [name for name in evidence.measured_surfaces if evidence.has_references(evidence.signals_of(name)[0])]
    chosen = {name: [each for each in exposes if each in repeated] for name, exposes in packages_of(evidence).items()}
    scorer = SCORERS[config.scorer]
    return {
        name: attack_package(
            scorer, {each: evidence.signals[evidence.signals_of(each)[0]] for each in surfaces}, evidence.members
        )
        for name, surfaces in chosen.items()
        if len(surfaces) > 1
    }
