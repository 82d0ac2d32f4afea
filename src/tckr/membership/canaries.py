"""Epsilon lower bounds from the canaries that `prepare` planted: by surface and kind. Pure; knows no model.

Shape suffixes: R runs (row 0 = target, 1.. = reference runs), N pool records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tckr.artifacts.membership import CANARY_KINDS
from tckr.membership.scorers.lira import reference_statistics
from tckr.membership.scorers.references import tally
from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.gaussian_dp import one_run_mu
from tckr.metrics.one_run import largest_bound, one_run_epsilon
from tckr.metrics.results import OneRunBound


@dataclass(frozen=True)
class Canaries:
    """The coins of the canaries, and what is guessed from.

    Attributes:
        scores: surface -> float64 [N], higher = rather in; NaN for ordinary records.
        coins: bool [N], row 0 of the membership matrix.
        kinds: kind -> which records are such canaries, bool [N].
    """

    scores: Mapping[str, np.ndarray]
    coins: np.ndarray
    kinds: Mapping[str, np.ndarray]


CanaryBounds = Mapping[str, dict[str, OneRunBound | NotMeasurable]]
"""Surface -> kind of canary -> bound."""


def canaries_of(scores_by_surface: Mapping[str, np.ndarray], coins: np.ndarray, kinds_N: np.ndarray) -> Canaries:
    """Return the canaries by kind; `kinds_N` int8 [N], `tckr.artifacts.membership.read_canaries`."""
    return Canaries(scores_by_surface, coins, {kind: kinds_N == code for kind, code in CANARY_KINDS.items()})


def canary_bounds(canaries: Canaries, confidence: float, delta: float) -> CanaryBounds:
    """Return the epsilon refuted on every surface by natural and by mislabelled canaries.

    Each bound holds alone at `confidence`; the largest of them does not, because it was chosen on the coins. A natural
    canary is a record like any other; a mislabelled one leaves a clearer trace, nearer to the worst case that epsilon is
    about. Both bound the same epsilon. Beside epsilon stands a bound on mu of Gaussian differential privacy from the same
    guesses; each says what it assumes.

    Args:
        canaries: scores may be any, such as `canary_scores`.
        confidence: of each bound, e.g. 0.95.
        delta: of the (epsilon, delta) guarantee in question.
    """
    return {
        surface: {
            kind: _bound(scores[mask], canaries.coins[mask], confidence, delta) for kind, mask in canaries.kinds.items()
        }
        for surface, scores in canaries.scores.items()
    }


def _bound(scores: np.ndarray, coins: np.ndarray, confidence: float, delta: float) -> OneRunBound | NotMeasurable:
    if largest_bound(len(coins), confidence=confidence, delta=delta) == 0:
        reason = f"{len(coins)} canaries: even right guesses throughout would refute nothing; raise prepare.num_canaries"
        return NotMeasurable(reason, len(coins))
    found = one_run_epsilon(scores, coins, confidence=confidence, delta=delta)
    return found.model_copy(update={"gaussian": one_run_mu(scores, coins, confidence=confidence, delta=delta)})


def canary_scores(signals_RN: np.ndarray, members_RN: np.ndarray, kinds_N: np.ndarray) -> np.ndarray:
    """Return float64 [N]: a canary's signal in the target run minus its mean in reference runs that left it out.

    So a canary that every model is sure of does not count as in. Without reference runs it is the signal alone; a canary
    that no reference run left out is compared with what they say of it, moved by the mean effect of being in among canaries
    of its kind. Ordinary records get NaN. Row 0 of `members_RN` is not read: reference runs have coins of their own, which
    say nothing about the target's, so the bound stays valid. Where reference runs share something with the target (Students
    the synthetic images), the bound is about that and the surface released together.
    """
    scores = np.full(signals_RN.shape[1], np.nan)
    for code in CANARY_KINDS.values():
        mask = kinds_N == code
        signals, members = signals_RN[:, mask], members_RN[:, mask]
        usual = reference_statistics(*tally(signals, members, 0))[1].mean if len(signals) > 1 and mask.any() else 0.0
        scores[mask] = signals[0] - usual
    return scores
