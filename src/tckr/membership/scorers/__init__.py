"""Scorers: attacks that turn the signals of all runs into one score per record of the attacked run.

Shape suffixes: R runs (target and reference runs), N records, Z records of a population. `signals_RN` is finite float64,
`members_RN` bool; higher scores mean "more likely a member". No scorer reads the attacked run's row of `members_RN`: it
compares the attacked run's signals with the sums of the other runs (`references.py`, `rmia.py`) and receives nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tckr.membership.scorers.bavaria import bavaria_offline, bavaria_online
from tckr.membership.scorers.lira import (
    lira_offline,
    lira_offline_fixed_variance,
    lira_online,
    lira_online_fixed_variance,
)
from tckr.membership.scorers.medians import MedianSums
from tckr.membership.scorers.published import (
    bavaria_n_offline,
    bavaria_n_online,
    bavaria_t_offline,
    bavaria_t_online,
    lira_offline_global_variance,
    lira_online_global_variance,
)
from tckr.membership.scorers.quantile_regression import AmongAlike
from tckr.membership.scorers.references import Begin, Known, Sums, TallySums, after_each, by_halves, without_one
from tckr.membership.scorers.rmia import ConfidenceSums, in_range, rmia_offline, rmia_offline_tuned, rmia_online
from tckr.membership.threads import in_threads

__all__ = [
    "MIN_BALANCED",
    "NEVER",
    "QUANTILES",
    "SCORERS",
    "Scorer",
    "Sums",
    "attack_each",
    "attack_one",
    "quantile_regression",
    "scores_of_runs",
]

Found = TypeVar("Found")


MIN_BALANCED, SOME, MANY, NEVER = 4, 16, 32, 1 << 30
"""Value of `Scorer.balanced_from`. In simulations without leakage (20,000 records, each in half of the runs), the z-score
of the AUC deviates from 0 by at most 1.5 from this number of runs on. For `lira_online` it deviates by 3 with 16 runs and by
14 with 8; for `bavaria_online` by 2 with 8."""


@dataclass(frozen=True)
class Scorer:
    """An attack and its requirements.

    Attributes:
        rate: (runs trained on each record, runs not trained on it, the attacked run's signals [N]) -> scores [N].
        sums: creates the sums of the other runs, from which both sides are computed.
        scale: transformation that is first applied to all signals.
        needs_references: whether the attack is impossible without reference runs.
        balanced_from: number of runs from which this attack does not depend on how many other runs were trained on a record.
        If each record is in equally many runs, that number reveals membership in the attacked run.
        target_only: whether attacking every run would cost too much.
    """

    rate: Callable[[Any, Any, np.ndarray], np.ndarray]
    sums: Begin = TallySums
    scale: Callable[[np.ndarray], np.ndarray] = lambda signals_RN: signals_RN
    needs_references: bool = True
    balanced_from: int = MIN_BALANCED
    target_only: bool = False

    def score(self, signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
        """Return the scores [N] of one run, with all others as its references."""
        return attack_one({"": self}, signals_RN, members_RN, attacked)[""]

    def score_each(self, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the scores [N] of run 0, 1, ..., each with all others as its references."""
        for scores in attack_each({"": self}, signals_RN, members_RN, lambda scores, members: scores):
            yield scores[""]

    def score_in_turn(self, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the runs from the last but two to the first and their scores [N], with the runs after it as references."""
        signals = self.scale(signals_RN)
        known = ((run, sums.sides()) for run, sums in after_each(self.sums, signals, members_RN) if run < len(signals) - 2)
        yield from in_threads(lambda each: (each[0], self.rate(*each[1], signals[each[0]])), known, signals.shape[1])


class NoSums:
    """The sums of an attack that uses no other run."""

    def __init__(self, signals_RN: np.ndarray) -> None:
        """Ignore the signals."""

    def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
        """Ignore the run."""

    def copy(self) -> NoSums:
        """Return this object."""
        return self

    def sides(self) -> tuple[None, None]:
        """Return None for both sides."""
        return None, None

    @classmethod
    def without_each(cls, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, Sums]]:
        """Yield every run, in order."""
        return by_halves(cls, signals_RN, members_RN)


def global_threshold(inside: None, outside: None, signal: np.ndarray) -> np.ndarray:
    """Return the signal itself: the attack of Yeom et al. (2018), which needs no reference run."""
    return signal.copy()


QUANTILES = "quantile_regression"
"""A second attack without reference runs: usable if records have features (`quantile_regression.AmongAlike`)."""


def quantile_regression(attack: AmongAlike) -> Scorer:
    """Return the scorer of records with these features."""
    return Scorer(attack, NoSums, needs_references=False, target_only=True)


SCORERS: dict[str, Scorer] = {
    "global_threshold": Scorer(global_threshold, NoSums, needs_references=False),
    "lira_online": Scorer(lira_online, balanced_from=MANY),
    "lira_online_fixed_variance": Scorer(lira_online_fixed_variance, balanced_from=MANY),
    "lira_offline": Scorer(lira_offline),
    "lira_offline_fixed_variance": Scorer(lira_offline_fixed_variance),
    "lira_online_global_variance": Scorer(lira_online_global_variance, balanced_from=MANY),
    "lira_offline_global_variance": Scorer(lira_offline_global_variance),
    "lira_online_median": Scorer(lira_online, MedianSums, balanced_from=MANY),
    "lira_offline_median": Scorer(lira_offline, MedianSums),
    "rmia_online": Scorer(rmia_online, ConfidenceSums, in_range),
    "rmia_offline": Scorer(rmia_offline, ConfidenceSums, in_range),
    "rmia_offline_tuned": Scorer(rmia_offline_tuned, ConfidenceSums, in_range, balanced_from=SOME),
    "bavaria_online": Scorer(bavaria_online, balanced_from=SOME),
    "bavaria_offline": Scorer(bavaria_offline),
    "bavaria_t_online": Scorer(bavaria_t_online, balanced_from=NEVER),
    "bavaria_t_offline": Scorer(bavaria_t_offline, balanced_from=NEVER),
    "bavaria_n_online": Scorer(bavaria_n_online, balanced_from=NEVER),
    "bavaria_n_offline": Scorer(bavaria_n_offline, balanced_from=NEVER),
}


@dataclass(frozen=True)
class Alike:
    """Attacks that read the same sums of the same signals."""

    scorers: Mapping[str, Scorer]
    sums: Begin
    signals: np.ndarray

    def rate(self, run: int, known: Known) -> Iterator[tuple[str, np.ndarray]]:
        """Yield every attack and its scores [N] of the run; `known` are the statistics of the other runs."""
        sides = known.sides()
        for name, scorer in self.scorers.items():
            yield name, scorer.rate(*sides, self.signals[run])


def attack_one(
    scorers: Mapping[str, Scorer], signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int
) -> dict[str, np.ndarray]:
    """Return the scores [N] of one run by every attack, with all others as its references."""
    found: dict[str, np.ndarray] = {}
    for alike in _alike(scorers, signals_RN):
        found.update(alike.rate(attacked, without_one(alike.sums, alike.signals, members_RN, attacked)))
    return {name: found[name] for name in scorers}


def attack_each(
    scorers: Mapping[str, Scorer],
    signals_RN: np.ndarray,
    members_RN: np.ndarray,
    take: Callable[[np.ndarray, np.ndarray], Found],
) -> Iterator[dict[str, Found]]:
    """Yield for run 0, 1, ... by attack what `take` makes of its scores [N] and members; all others are the references."""
    kinds = _alike(scorers, signals_RN)

    def attack(known: Sequence[tuple[int, Known]]) -> dict[str, Found]:
        rated = (found for alike, each in zip(kinds, known, strict=True) for found in alike.rate(*each))
        return {name: take(scores, members_RN[known[0][0]]) for name, scores in rated}

    runs = zip(*(alike.sums.without_each(alike.signals, members_RN) for alike in kinds), strict=True)
    yield from in_threads(attack, runs, signals_RN.shape[1])


def scores_of_runs(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray) -> np.ndarray:
    """Return the scores of every run, each with all others as its references, [R, N]."""
    scores_RN = np.empty(signals_RN.shape)
    for run, scores in enumerate(scorer.score_each(signals_RN, members_RN)):
        scores_RN[run] = scores
    return scores_RN


def _alike(scorers: Mapping[str, Scorer], signals_RN: np.ndarray) -> list[Alike]:
    """Return the attacks, grouped by the sums that they read."""
    kinds: dict[Any, dict[str, Scorer]] = {}
    for name, scorer in scorers.items():
        kinds.setdefault((scorer.sums, scorer.scale), {})[name] = scorer
    return [Alike(found, sums, scale(signals_RN)) for (sums, scale), found in kinds.items()]
