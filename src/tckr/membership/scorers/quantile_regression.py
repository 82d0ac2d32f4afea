"""Quantile regression: tests whether a record's signal is unusual among similar records. Needs no reference run.

Bertran et al. 2023, "Scalable Membership Inference Attacks via Quantile Regression" (arXiv 2307.03694). On records that the
attacked model was not trained on (a population: validation or hold-out records outside the tested pool), the quantiles of
the signal are regressed on features of the record. A tested record is called a member at FPR a if its signal is above the
quantile of level 1 - a for its features.

It can be used for every surface at every depth, and is most useful for surfaces that no reference run repeats. It uses the
signals and features of the population and of the tested records, never the membership of a tested one. Features are what an
attacker knows of a record without the attacked model: its label, its embedding by a public model. The population must be
similar to the tested records, because a shift between the two would look like membership; so the null control is attacked
too.

An audit has no such population beside the pool. Therefore `AmongAlike` fits the quantiles on the other half of the pool,
with members and non-members mixed. This costs power, because members raise the quantiles, but it does not use membership.

Shape suffixes: Z population records, N tested records, D features, L levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from tckr.errors import UserError
from tckr.membership.threads import MIN_RECORDS

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""(picklable function, picklable items) -> the results in any order, computed in other processes."""

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Levels of the quantiles behind a score. More extreme ones would be estimated from a few records only."""

MIN_POPULATION = 100
"""Minimum number of records; with fewer, the outer quantiles depend on a handful of them."""

ROUNDS, LEARNING_RATE, MAX_LEAVES, MIN_LEAF = 100, 0.1, 4, 30
"""Settings of the boosted trees: small ones, because a population has hundreds to thousands of records."""

HALVES = 2
"""Number of parts of the pool: the quantiles of each half are fitted on the other."""

MOST_COMPONENTS = 16
"""Number of principal components that replace longer features, because trees need few columns for few records."""

SMALLEST_SPREAD = 0.01
"""Minimum spread of a record, as a multiple of the interquartile range of all signals."""


@dataclass(frozen=True)
class NonMemberQuantiles:
    """Fitted quantiles of the signal of records that the attacked model was not trained on."""

    levels: Sequence[float]
    regressors: Sequence[HistGradientBoostingRegressor]
    centre: float
    unit: float

    def thresholds(self, features_ND: np.ndarray) -> np.ndarray:
        """Return for every record the quantiles of the signal of similar non-members at `levels`, [L, N], ascending in L.

        Quantiles that cross are sorted (Chernozhukov, Fernandez-Val and Galichon 2010). A record whose signal is above the
        quantile of level 1 - a is called a member at FPR a.
        """
        predicted_LN = np.stack([each.predict(features_ND) for each in self.regressors])
        return self.centre + self.unit * np.sort(predicted_LN, axis=0)

    def scores(self, signal_N: np.ndarray, features_ND: np.ndarray) -> np.ndarray:
        """Return the signal's distance from the mean of similar records, in their standard deviations, [N].

        Mean and deviation are those of the normal distribution whose quantiles fit the thresholds best (least squares).
        """
        thresholds_LN, z_L = (self.thresholds(features_ND) - self.centre) / self.unit, ndtri(np.asarray(self.levels))
        z_mean, mean_N = z_L.mean(), thresholds_LN.mean(axis=0)
        spread_N = (z_L - z_mean) @ (thresholds_LN - mean_N) / ((z_L - z_mean) ** 2).sum()
        return ((signal_N - self.centre) / self.unit - mean_N + z_mean * spread_N) / np.maximum(spread_N, SMALLEST_SPREAD)


def fit_quantiles(signal_Z: np.ndarray, features_ZD: np.ndarray, levels: Sequence[float] = LEVELS) -> NonMemberQuantiles:
    """Return the quantiles of the attacked model's signal, regressed on features of records it was not trained on.

    Args:
        signal_Z: float64, signals of one model; higher = more likely a member.
        features_ZD: float64; with the same columns as the features of the tested records.
        levels: shares of non-members below, ascending, each in (0, 1); at least two for scores.

    Raises:
        UserError: there are too few records.
    """
    if len(signal_Z) < MIN_POPULATION:
        raise UserError(
            f"found {len(signal_Z)} records that the model was not trained on, outside of the tested ones; "
            f"quantile regression needs {MIN_POPULATION}; add such records, or attack with reference runs"
        )
    centre = float(np.median(signal_Z))
    unit = float(np.quantile(signal_Z, 0.75) - np.quantile(signal_Z, 0.25)) or float(np.ptp(signal_Z)) or 1.0
    scaled_Z = (signal_Z - centre) / unit
    return NonMemberQuantiles(levels, [_regressor(level).fit(features_ZD, scaled_Z) for level in levels], centre, unit)


def _regressor(level: float) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=level,
        max_iter=ROUNDS,
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=MAX_LEAVES,
        min_samples_leaf=MIN_LEAF,
        early_stopping=False,
        random_state=0,
    )


@dataclass(frozen=True)
class AmongAlike:
    """The attack on the pool itself: whether a record's signal is unusual among similar records. A `Scorer.rate`.

    Attributes:
        features: what an attacker knows of every record without the attacked models.
        known: scores by signal, because an audit needs the same ones several times.
    """

    features: np.ndarray
    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Return whether each half has enough records."""
        return len(self.features) >= HALVES * MIN_POPULATION

    def __call__(self, inside: None, outside: None, signal_N: np.ndarray) -> np.ndarray:
        """Return the scores [N]; the other runs are not used."""
        key = signal_N.tobytes()
        if key not in self.known:
            self.known[key] = self._scores(signal_N)
        return self.known[key].copy()

    def rate_all(self, signals: Sequence[np.ndarray], spread: Spread) -> None:
        """Compute the scores of `signals` [N] side by side, before they are asked for; nearly all work of a small audit."""
        for key, scores in spread(partial(_rated, features_ND=self.features), signals):
            self.known[key] = scores

    def _scores(self, signal_N: np.ndarray) -> np.ndarray:
        scores, half = np.empty(len(signal_N)), np.arange(len(signal_N)) % HALVES
        threads = 1 if len(signal_N) < MIN_RECORDS else None  # with so few records, threads only wait for one another
        with threadpool_limits(threads, "openmp"):
            for each in range(HALVES):
                tested = half == each
                quantiles = fit_quantiles(signal_N[~tested], self.features[~tested])
                scores[tested] = quantiles.scores(signal_N[tested], self.features[tested])
        return scores


def _rated(signal_N: np.ndarray, features_ND: np.ndarray) -> tuple[bytes, np.ndarray]:
    with threadpool_limits(1, "openmp"):  # the processes share the cores
        return signal_N.tobytes(), AmongAlike(features_ND)(None, None, signal_N)


def principal_components(features_ND: np.ndarray) -> np.ndarray:
    """Return the features themselves, or their `MOST_COMPONENTS` principal components, float64 [N, <= D]."""
    if features_ND.shape[1] <= MOST_COMPONENTS:
        return features_ND.astype(np.float64)
    centred = features_ND - features_ND.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return centred @ directions[:, -MOST_COMPONENTS:]
