"""Quantile regression: how unusual is a record's signal for a record that looks like it? Needs no reference run.

Bertran et al. 2023, "Scalable Membership Inference Attacks via Quantile Regression" (arXiv 2307.03694). On records that the
attacked model never saw (a population: validation or hold-out records outside the tested pool), the quantiles of the signal
are regressed on features of the record. A tested record is called a member at FPR a if its signal is above the quantile of
level 1 - a for its features.

For every surface at every depth, above all for those that no reference run repeats. It reads the signals and features of the
population and of the tested records, never the membership of a tested one. Features are what an attacker knows of a record
without the attacked model: its label, its embedding by a public model. The population must be like the tested records: a
shift between the two would show as membership, so the null control has to be attacked too.

An audit has no such population beside the pool, so `AmongAlike` fits the quantiles on the other half of the pool, members
and non-members mixed. That costs power, since members lift the quantiles too, and makes nothing up: membership is not read.

Shape suffixes: Z population records, N tested records, D features, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri
from sklearn.ensemble import HistGradientBoostingRegressor

from tckr.errors import UserError

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the quantiles behind a score. Rarer ones would be known from a few records of the population only."""

MIN_POPULATION = 100
"""Records: with fewer the outer quantiles are those of a handful."""

ROUNDS, LEARNING_RATE, MAX_LEAVES, MIN_LEAF = 100, 0.1, 4, 30
"""Of the boosted trees: small ones, since a population has hundreds to thousands of records."""

HALVES = 2
"""Of the pool: the quantiles of each half are fitted on the other."""

MOST_COMPONENTS = 16
"""Principal components that stand for longer features: trees need few columns, and records are hundreds to thousands."""

SMALLEST_SPREAD = 0.01
"""Of the interquartile range of all signals: a record's own spread counts as no smaller."""


@dataclass(frozen=True)
class NonMemberQuantiles:
    """Fitted quantiles of the signal of records that the attacked model never saw."""

    levels: Sequence[float]
    regressors: Sequence[HistGradientBoostingRegressor]
    centre: float
    unit: float

    def thresholds(self, features_ND: np.ndarray) -> np.ndarray:
        """Return for every record the signal that a share `levels` of non-members like it stay below, [L, N], rising in L.

        Quantiles that cross are sorted (Chernozhukov, Fernandez-Val and Galichon 2010). A record whose signal is above the
        one of level 1 - a is called a member at FPR a.
        """
        predicted_LN = np.stack([each.predict(features_ND) for each in self.regressors])
        return self.centre + self.unit * np.sort(predicted_LN, axis=0)

    def scores(self, signal_N: np.ndarray, features_ND: np.ndarray) -> np.ndarray:
        """Return by how many standard deviations of records like it the signal is above their mean, [N].

        Mean and deviation are those of the normal whose quantiles come nearest to the thresholds (least squares).
        """
        thresholds_LN, z_L = (self.thresholds(features_ND) - self.centre) / self.unit, ndtri(np.asarray(self.levels))
        z_mean, mean_N = z_L.mean(), thresholds_LN.mean(axis=0)
        spread_N = (z_L - z_mean) @ (thresholds_LN - mean_N) / ((z_L - z_mean) ** 2).sum()
        return ((signal_N - self.centre) / self.unit - mean_N + z_mean * spread_N) / np.maximum(spread_N, SMALLEST_SPREAD)


def fit_quantiles(signal_Z: np.ndarray, features_ZD: np.ndarray, levels: Sequence[float] = LEVELS) -> NonMemberQuantiles:
    """Return the quantiles of the attacked model's signal, regressed on the features of records that it never saw.

    Args:
        signal_Z: float64, of one model; higher = rather a member.
        features_ZD: float64; the columns mean the same as those of the tested records.
        levels: shares of non-members below, rising, each in (0, 1); at least two for scores.

    Raises:
        UserError: there are too few records.
    """
    if len(signal_Z) < MIN_POPULATION:
        raise UserError(
            f"found {len(signal_Z)} records that the model never saw outside the tested ones; quantile regression needs "
            f"{MIN_POPULATION}; add such records, or attack with reference runs"
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
    """The attack on the pool itself: how unusual is a record's signal among records that look like it? A `Scorer.rate`.

    Attributes:
        features: what an attacker knows of every record without the attacked models.
        known: scores by signal, since an audit asks for the same ones several times.
    """

    features: np.ndarray
    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Return whether each half has enough records."""
        return len(self.features) >= HALVES * MIN_POPULATION

    def __call__(self, inside: None, outside: None, signal_N: np.ndarray) -> np.ndarray:
        """Return the scores [N]; neither side of the other runs is looked at."""
        key = signal_N.tobytes()
        if key not in self.known:
            self.known[key] = self._scores(signal_N)
        return self.known[key].copy()

    def _scores(self, signal_N: np.ndarray) -> np.ndarray:
        scores, half = np.empty(len(signal_N)), np.arange(len(signal_N)) % HALVES
        for each in range(HALVES):
            tested = half == each
            quantiles = fit_quantiles(signal_N[~tested], self.features[~tested])
            scores[tested] = quantiles.scores(signal_N[tested], self.features[tested])
        return scores


def principal_components(features_ND: np.ndarray) -> np.ndarray:
    """Return the features themselves, or the `MOST_COMPONENTS` directions in which they vary most, float64 [N, <= D]."""
    if features_ND.shape[1] <= MOST_COMPONENTS:
        return features_ND.astype(np.float64)
    centred = features_ND - features_ND.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return centred @ directions[:, -MOST_COMPONENTS:]
