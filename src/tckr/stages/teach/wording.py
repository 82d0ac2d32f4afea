"""Warnings about votes. They depend on private images: they are in the run's log and on the terminal, and not released."""

from __future__ import annotations

from tckr.artifacts.guarantee import Guarantee
from tckr.privacy.config import UNITS
from tckr.privacy.refusals import FEW_UNITS
from tckr.stages.teach.votes import FEWEST_IMAGES

MANY_SILENT = 0.1
"""Maximum share of Teachers that do not vote without a warning."""


def describe_small(guarantee: Guarantee, num_voted: int) -> list[str]:
    """Return what makes votes on `num_voted` images worse than they could be: few synthetic images, or few units."""
    assert guarantee.votes is not None
    votes, found = guarantee.votes, []
    if num_voted < votes.images:
        found.append(
            f"only {num_voted:,} images are generated, but the noise is that of {votes.images:,} votes: more labels are "
            f"wrong than necessary. For a new run, which spends its own budget, set privacy.votes={num_voted}"
        )
    if (units := guarantee.noisy_count / votes.teachers) < FEW_UNITS:
        found.append(
            f"each Teacher that votes learns from about {units:.3g} {UNITS[guarantee.unit]}, so many votes are wrong "
            "(docs/guarantee.md). For a new run, which spends its own budget, set a lower privacy.num_teachers, or "
            "privacy.labels=prompt"
        )
    return found


def describe_silent(num_silent: int, num_teachers: int) -> str:
    """Return what it means that so many Teachers do not vote; empty if they are few."""
    if num_silent <= MANY_SILENT * num_teachers:
        return ""
    effect = "labels are noise alone" if num_silent == num_teachers else "the noise stays the same, so more labels are wrong"
    return (
        f"{num_silent:,} of {num_teachers:,} Teachers do not vote: {effect}. Their parts have fewer than {FEWEST_IMAGES} "
        "images (set a lower privacy.num_teachers), or their training failed (the run's log has the reasons: no_vote)"
    )
