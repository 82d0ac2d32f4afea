"""One attack on all that is released together: the scores of several surfaces, weighed by what the reference runs show.

Whoever holds a package holds all its surfaces. Two that leak little on their own may leak more together; one whose errors
are those of another adds nothing. The weights are those of linear discriminant analysis (Fisher 1936): the inverse of the
scores' covariance within members and within non-members, times the difference of their means. They are fitted on the
reference runs, each attacked with the other reference runs; the attacked run's row is in neither.

Shape suffixes: S surfaces, R runs, N records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from tckr.membership.scorers import Scorer

RIDGE = 0.01
"""Added to the scores' variances, which are about 1: surfaces that say the same share their weight."""


@dataclass(frozen=True)
class PackageScores:
    """Scores [N] of one run from all surfaces, higher = rather a member, and what each surface weighs."""

    scores: np.ndarray
    weights: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Return the weights, divided so that their sizes add up to 1."""
        total = sum(map(abs, self.weights.values())) or 1.0
        return {surface: weight / total for surface, weight in self.weights.items()}


def attack_package(
    scorer: Scorer, signals: Mapping[str, np.ndarray], members_RN: np.ndarray, attacked: int = 0
) -> PackageScores:
    """Return the scores of one run of everything in a package.

    Scores of each surface and run are replaced by the normal quantiles of their ranks, so that weights found on some runs
    fit another one, and a surface of another unit counts alike. The attacked run's row of `members_RN` is not read.

    Args:
        scorer: the attack on each surface, with references.
        signals: surface -> float64 [R, N]; all with the same runs. Surfaces without reference runs have no weight that
            could be learned and must be left out.
        members_RN: bool, at least three runs.
        attacked: the run.
    """
    others = np.arange(len(members_RN)) != attacked
    assert all(values.shape == members_RN.shape for values in signals.values()), "every surface needs the same runs"
    assert others.sum() >= 2, "weights are learned from reference runs that attack one another"
    training = zip(*(scorer.score_each(values[others], members_RN[others]) for values in signals.values()), strict=True)
    weights_S = discriminant((_normal_scores(scores_SN) for scores_SN in training), members_RN[others])
    target_SN = _normal_scores([scorer.score(values, members_RN, attacked) for values in signals.values()])
    return PackageScores(weights_S @ target_SN, dict(zip(signals, weights_S.tolist(), strict=True)))


def discriminant(scores: Iterable[np.ndarray], members_RN: np.ndarray) -> np.ndarray:
    """Return the weights [S] of linear discriminant analysis; `scores`: [S, N] of each run, in the order of the rows."""
    counts, sums, products = np.zeros(2), np.zeros(()), np.zeros(())
    for scores_SN, members_N in zip(scores, members_RN, strict=True):
        sides = (scores_SN[:, members_N], scores_SN[:, ~members_N])
        counts += [side.shape[1] for side in sides]
        sums = sums + np.stack([side.sum(axis=1) for side in sides])
        products = products + scores_SN @ scores_SN.T
    means = sums / np.maximum(counts, 1)[:, None]
    within = (products - (counts[:, None] * means).T @ means) / counts.sum()
    return np.linalg.solve(within + RIDGE * np.eye(len(within)), means[0] - means[1])


def _normal_scores(scores: Iterable[np.ndarray]) -> np.ndarray:
    """Return the normal quantiles of the ranks of each row, [S, N]."""
    rows = np.stack(list(scores))
    return ndtri((rankdata(rows, axis=1) - 0.5) / rows.shape[1])
