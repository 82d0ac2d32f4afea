"""The control `planted`: the declared attack must find an artificial leak of known size with these runs and records.

Shape suffixes: R runs (row 0 = target, 1.. = reference runs), N records.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from tckr.artifacts.audit import Control
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.scorers import SCORERS, Scorer
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.membership import auc

NO_SPREAD = 1e-9
"""Spread below which the runs do not differ on a record; a planted shift is then so small that it only changes the order."""

EFFECT = 1.0
"""Shift of planted members, in standard deviations of that record's signal between runs."""

IDEAL = float(norm.cdf(EFFECT / 2**0.5))
"""AUC of an attack that knows each record's mean, if all records vary alike: P(member above non-member), 0.760."""

BAR = 0.5 + 0.5 * (IDEAL - 0.5)
"""The interval of the mean AUC must lie above half of the way from guessing to the ideal, 0.630."""

DRAWS = 16
"""Number of attacked runs whose AUCs are averaged. With a single one, a sound attack fails by chance: in 41 of 100 audits
with 200 records and 8 reference runs (`benchmarks/planted_draws.py`)."""

MIN_SEEN = 13
"""Number of draws, 80 %, in which the AUC interval must lie above 0.5. If it does not, the records are too few: one target
would often not show such a leak."""


def planted(config: MembershipConfig, evidence: Evidence, signal: str) -> Control:
    """Plant a small membership effect of known size: the declared scorer must find half of what a perfect attack would.

    The planted members are sampled for every run, independently of the true ones, so whatever the models (or a shared
    generator) truly leak is only noise here. The check fails if reference runs or records are too few for the scorer.
    """
    runs = evidence.signals[signal], evidence.members_of(signal)
    found = [auc(scores, members, config.confidence) for scores, members in _attacks(SCORERS[config.scorer], *runs)]
    seen = sum(isinstance(each, Estimate) and each.low > 0.5 for each in found)
    mean = _mean(found, config.confidence)
    return Control(
        name="planted",
        surface=evidence.surface_of(signal),
        signal=signal,
        measure=config.scorer,
        passed=isinstance(mean, Estimate) and mean.low > BAR and seen >= MIN_SEEN,
        decides=True,
        expected=f"mean AUC interval above {BAR:.2f} ({IDEAL:.2f} is the best possible), and a single AUC interval above "
        f"0.5 in {MIN_SEEN} of {DRAWS} draws; found in {seen}",
        found=mean,
    )


def _attacks(scorer: Scorer, signals_RN: np.ndarray, members_RN: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores [N] and planted members [N] of `DRAWS` attacked runs: the runs in turn, members sampled anew each turn.

    Each record is moved by its own spread: if all were moved by the average spread, any attack would find members among
    records that hardly vary.
    """
    generator = np.random.default_rng(0)
    shifts = EFFECT * np.maximum(signals_RN.std(axis=0, ddof=1), NO_SPREAD)
    for draw in range(DRAWS):
        run = draw % len(signals_RN)
        if run == 0:
            members = generator.permuted(members_RN, axis=1)
            moved = signals_RN + shifts * members
        yield scorer.score(moved, members, run), members[run]


def _mean(found: list[Measured], confidence: float) -> Measured:
    """Return the mean AUC with a t-interval over the draws, whose members are sampled independently.

    With few runs the draws share noise, so the interval is then too narrow.
    """
    values = np.array([each.value for each in found if isinstance(each, Estimate)])
    if len(values) < len(found):
        return next(each for each in found if isinstance(each, NotMeasurable))
    half = float(student_t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    mean = float(values.mean())
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), found[0].n, f"t-interval over {len(values)} draws")
