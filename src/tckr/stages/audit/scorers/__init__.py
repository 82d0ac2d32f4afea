"""Scorers: attacks that turn the signals of all runs into one score per record of the attacked run. Know no model.

Shape suffixes: R runs (target and reference runs), N records, Z records of a population. `signals_RN` is finite float64,
`members_RN` bool; higher scores mean "rather a member". No scorer reads the attacked run's row of `members_RN`: all of
them see membership through `references.py` and `rmia.py`, which pass that row over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tckr.stages.audit.scorers.bavaria import bavaria_offline, bavaria_online
from tckr.stages.audit.scorers.lira import (
    lira_offline,
    lira_offline_fixed_variance,
    lira_online,
    lira_online_fixed_variance,
    reference_statistics,
)
from tckr.stages.audit.scorers.rmia import rmia_offline, rmia_online

__all__ = ["SCORERS", "Scorer", "reference_statistics"]


@dataclass(frozen=True)
class Scorer:
    """An attack and what it needs."""

    score: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    needs_references: bool = True


def global_threshold(signals_RN: np.ndarray, members_RN: np.ndarray, attacked: int) -> np.ndarray:
    """Return the signal itself: the attack of Yeom et al. (2018), which needs no reference run."""
    return signals_RN[attacked].copy()


SCORERS: dict[str, Scorer] = {
    "global_threshold": Scorer(global_threshold, needs_references=False),
    "lira_online": Scorer(lira_online),
    "lira_online_fixed_variance": Scorer(lira_online_fixed_variance),
    "lira_offline": Scorer(lira_offline),
    "lira_offline_fixed_variance": Scorer(lira_offline_fixed_variance),
    "rmia_online": Scorer(rmia_online),
    "rmia_offline": Scorer(rmia_offline),
    "bavaria_online": Scorer(bavaria_online),
    "bavaria_offline": Scorer(bavaria_offline),
}
