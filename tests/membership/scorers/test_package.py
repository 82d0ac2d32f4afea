from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.package import attack_package, discriminant
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tests.membership.worlds import membership, signals
from tests.metrics.coverage import REPETITIONS, at_least

SCORER = SCORERS["lira_offline_fixed_variance"]


def package(seed: int, *shifts: float, rows: int = 9, records: int = 300) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return surfaces with independent noise that leak the given amounts, and their membership."""
    generator = np.random.default_rng(seed)
    members = membership(generator, rows, records)
    return {f"surface {index}": signals(generator, members, shift) for index, shift in enumerate(shifts)}, members


def found(surfaces: dict[str, np.ndarray], members: np.ndarray) -> Estimate:
    measured = auc(attack_package(SCORER, surfaces, members).scores, members[0], 0.95)
    assert isinstance(measured, Estimate)
    return measured


def test_weights_are_those_of_the_best_linear_rule() -> None:
    """Two normals with covariance C, means d apart: C^-1 d, up to the ridge."""
    generator = np.random.default_rng(0)
    covariance, apart = np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([1.0, 0.2])
    members = membership(generator, 20, 5000)
    scores = [(generator.multivariate_normal([0, 0], covariance, 5000) + row[:, None] * apart).T for row in members]
    assert discriminant(iter(scores), members) == pytest.approx(np.linalg.solve(covariance, apart), abs=0.05)


def test_two_surfaces_with_errors_of_their_own_leak_more_together() -> None:
    surfaces, members = package(0, 1.0, 1.0, rows=65, records=2000)
    alone = [auc(SCORER.score(values, members, 0), members[0], 0.95) for values in surfaces.values()]
    together = found(surfaces, members)
    assert all(together.low > each.high for each in alone)  # type: ignore[union-attr]
    assert together.covers(norm.cdf(2**0.5 / 2**0.5))


def test_a_surface_that_says_the_same_or_nothing_changes_little() -> None:
    surfaces, members = package(1, 1.0, 0.0, rows=17, records=2000)
    alone = found({"one": surfaces["surface 0"]}, members)
    copies = found({"one": surfaces["surface 0"], "other": 7 * surfaces["surface 0"]}, members)
    assert copies.value == pytest.approx(alone.value, abs=1e-6)
    assert found(surfaces, members).value == pytest.approx(alone.value, abs=0.01)


def test_the_attacked_runs_membership_is_not_read_and_that_of_the_others_is() -> None:
    surfaces, members = package(2, 1.0, 0.5)
    for attacked in (0, 3):
        before = attack_package(SCORER, surfaces, members, attacked)
        changed = members.copy()
        changed[attacked] = ~changed[attacked]
        after = attack_package(SCORER, surfaces, changed, attacked)
        assert (after.scores == before.scores).all()
        assert after.weights == before.weights
    changed = members.copy()
    changed[1] = ~changed[1]
    assert attack_package(SCORER, surfaces, changed).weights != attack_package(SCORER, surfaces, members).weights


@pytest.mark.parametrize("name", ["bavaria_online", "lira_offline_fixed_variance"])
def test_a_package_that_leaks_nothing_scores_one_half(name: str) -> None:
    covered = 0
    for seed in range(REPETITIONS):
        surfaces, members = package(seed, 0.0, 0.0, 0.0, rows=5, records=60)
        covered += auc(attack_package(SCORERS[name], surfaces, members).scores, members[0], 0.95).covers(0.5)  # type: ignore[union-attr]
    assert covered >= at_least()


def test_a_surface_of_another_unit_counts_alike() -> None:
    surfaces, members = package(3, 1.0, 0.5)
    scaled = {"surface 0": 1e6 * surfaces["surface 0"], "surface 1": surfaces["surface 1"]}
    assert attack_package(SCORER, scaled, members).scores == pytest.approx(attack_package(SCORER, surfaces, members).scores)
