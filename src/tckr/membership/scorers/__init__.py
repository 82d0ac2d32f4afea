"""Scorers: attacks that turn the signals of all runs into one score per record of the attacked run. Know no model.

Shape suffixes: R runs (target and reference runs), N records, Z records of a population. `signals_RN` is finite float64,
`members_RN` bool; higher scores mean "rather a member". No scorer reads the attacked run's row of `members_RN`: it rates
the attacked run's signals against the sums of the other runs (`references.py`, `rmia.py`), and is given nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
from tckr.membership.scorers.references import Begin, Sums, TallySums, after_each, without_each, without_one
from tckr.membership.scorers.rmia import ConfidenceSums, in_range, rmia_offline, rmia_offline_tuned, rmia_online

__all__ = ["MIN_BALANCED", "NEVER", "QUANTILES", "SCORERS", "Scorer", "Sums", "quantile_regression"]


MIN_BALANCED, SOME, MANY, NEVER = 4, 16, 32, 1 << 30
"""Of `Scorer.balanced_from`. Simulated without leakage, 20,000 records, each in half of the runs: from so many runs on the
z-score of the AUC is off 0 by at most 1.5. With 16 runs that of `lira_online` is off by 3, with 8 by 14; that of
`bavaria_online` with 8 by 2."""


@dataclass(frozen=True)
class Scorer:
    """An attack and what it needs.

    Attributes:
        rate: (runs that saw each record, runs that did not, the attacked run's signals [N]) -> scores [N].
        sums: begins the sums of the other runs, from which both sides are taken.
        scale: what is done to all signals first.
        needs_references: whether it says nothing without reference runs.
        balanced_from: where each record is in equally many runs, how many other runs saw it tells the attacked run's
            membership, and some attacks depend on that number: from so many runs on, this one does not.
        target_only: whether it costs too much to attack every run with it.
    """

    rate: Callable[[Any, Any, np.ndarray], np.ndarray]
    sums: Begin = TallySums
    scale: Callable[[np.ndarray], np.ndarray] = lambda signals_RN: signals_RN
    needs_references: bool = True
    balanced_from: int = MIN_BALANCED
    target_only: bool = False

    def score(self, signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
        """Return the scores [N] of one run, with all others as its references."""
        signals = self.scale(signals_RN)
        return self.rate(*without_one(self.sums, signals, members_RN, attacked).sides(), signals[attacked])

    def score_each(self, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the scores [N] of run 0, 1, ..., each with all others as its references."""
        signals = self.scale(signals_RN)
        for run, sums in without_each(self.sums, signals, members_RN):
            yield self.rate(*sums.sides(), signals[run])

    def score_in_turn(self, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the runs from the last but two to the first and their scores [N], with the runs after it as references."""
        signals = self.scale(signals_RN)
        for run, sums in after_each(self.sums, signals, members_RN):
            if run < len(signals) - 2:
                yield run, self.rate(*sums.sides(), signals[run])


class NoSums:
    """The sums of an attack that looks at no other run."""

    def __init__(self, signals_RN: np.ndarray) -> None:
        """Keep nothing."""

    def add(self, signal_N: np.ndarray, members_N: np.ndarray) -> None:
        """Keep nothing."""

    def copy(self) -> NoSums:
        """Return the same."""
        return self

    def sides(self) -> tuple[None, None]:
        """Return nothing."""
        return None, None


def global_threshold(inside: None, outside: None, signal: np.ndarray) -> np.ndarray:
    """Return the signal itself: the attack of Yeom et al. (2018), which needs no reference run."""
    return signal.copy()


QUANTILES = "quantile_regression"
"""The second attack that needs no reference run: usable where records have features (`quantile_regression.AmongAlike`)."""


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
