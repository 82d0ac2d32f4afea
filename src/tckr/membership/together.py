"""Packages of surfaces that are usually released together, and the attack on all surfaces of a package."""

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
        "adapter": ("adapter", "images"),  # the adapter can generate any number of images
        "Teacher": ("teacher",),
    }
)

ALL = "all surfaces"
"""Package of a given table whose surfaces have other names."""


def packages_of(evidence: Evidence) -> Mapping[str, tuple[str, ...]]:
    """Return package -> its surfaces: the packages of a run, or all surfaces of a given table."""
    return PACKAGES if set(evidence.surfaces) <= set(SURFACES) else {ALL: tuple(evidence.surfaces)}


def attack_packages(config: MembershipConfig, evidence: Evidence) -> dict[str, PackageScores]:
    """Return the declared attack on every package with at least two surfaces that reference runs repeated.

    The weights of the surfaces are fitted by attacking reference runs with one another, so their members must have been
    sampled independently.
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
