"""The attack on all surfaces of a package: what it finds, where it is made, and that it counts in the family."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tckr.artifacts.audit import AuditResult, Package
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.verdict import judge
from tckr.membership.wording import package_text
from tckr.metrics.estimate import Estimate
from tests.membership.worlds import evidence

pytestmark = pytest.mark.usefixtures("few_scorers", "few_redraws")
OFFLINE = MembershipConfig(scorer="lira_offline_fixed_variance")
"""Its scores rise with the signal, so that those of twins differ by their noise alone."""


def packages_of(result: AuditResult) -> dict[str, Package]:
    return {package.name: package for package in result.packages}


def twins(shift: float, apart: float, **settings: Any) -> Evidence:
    """Return a world whose soft labels answer as the Student does, but for a little noise; the Student leaks `shift`."""
    world = evidence(1, shift=0.0, records=600, **settings)
    soft = world.signals["student"] + apart * np.random.default_rng(0).normal(size=world.members.shape)
    student = world.signals["student"] + shift * world.members
    return replace(world, signals={**world.signals, "soft_labels": soft, "student": student})


def test_surfaces_that_say_nothing_alone_and_much_together_make_their_package_leak() -> None:
    result = judge(OFFLINE, twins(0.05, 0.05))
    alone, package = result.surfaces, packages_of(result)["images, soft labels and Student"]
    assert alone["student"].state == alone["soft_labels"].state == "no measurable leakage"
    assert package.state == "leaks"
    assert [reason.kind for reason in package.reasons] == ["auc_of_package"]
    assert package.together is not None
    assert isinstance(package.together.auc, Estimate)
    assert package.together.auc.low > 0.6
    assert package.together.surfaces["student"] > 0 > package.together.surfaces["soft_labels"]
    assert package_text(result, package).startswith("all of it together: AUC 0.")
    assert packages_of(result)["Student"].state == "no measurable leakage"


def test_the_attack_on_a_package_finds_nothing_where_nothing_leaks_and_counts_in_the_family() -> None:
    quiet = judge(OFFLINE, twins(0.0, 0.05))
    package = packages_of(quiet)["images, soft labels and Student"]
    assert package.state == "not measured"  # the images have no references
    assert package.together is not None
    assert package.together.test.family_p_value > package.together.test.p_value
    assert not package.reasons


def test_each_package_with_two_surfaces_that_reference_runs_repeat_is_attacked_together() -> None:
    attacked = {name: package.together for name, package in packages_of(judge(MembershipConfig(), evidence(1))).items()}
    assert {name for name, found in attacked.items() if found} == {"images, soft labels and Student"}
    full = packages_of(judge(MembershipConfig(depth="full"), evidence(1, depth="full")))
    assert {name for name, package in full.items() if not package.together} == {"Student", "synthetic images", "Teacher"}
    dependent = judge(MembershipConfig(), replace(evidence(1), independent_runs=False))
    assert not any(package.together for package in dependent.packages)
