"""Test all findings of an audit together: which statistics show a leak at a level that holds for all of them jointly.

For every surface the family contains the AUC of the attack on the target (above and below 0.5), the members among the
records above the threshold of epsilon, and all runs together. Where groups are judged, it also contains the AUC on single
records. It further contains the attack on all surfaces of each package, the canaries, and what the shared images reveal.
`redraws` gives each statistic its own p-value and one that is corrected for all others.

Shape suffixes: R runs (row 0 = target), N records, K statistics, B redraws of the membership including the true one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.stats import norm

from tckr.artifacts.audit import PLAIN, LeakTest
from tckr.membership.canaries import Canaries
from tckr.membership.config import MembershipConfig
from tckr.membership.controls import NullCheck, planned_nulls
from tckr.membership.evidence import Evidence
from tckr.membership.findings import target_scores
from tckr.membership.redraws import (
    double_ranks,
    family_p_values,
    level_of_one,
    moments,
    p_values,
    sums_over_coins,
    sums_over_members,
)
from tckr.membership.scorers import QUANTILES, SCORERS, Scorer
from tckr.membership.scorers.package import PackageScores
from tckr.membership.thresholds import Thresholds
from tckr.membership.units import sums as sums_of_groups
from tckr.metrics.one_run import GUESSED_SHARES, num_guesses
from tckr.surfaces import sees_images

NO_PACKAGES: Mapping[str, PackageScores] = MappingProxyType({})

POWER = 0.8
"""Power at which `Family.detectable_auc` is stated: the share of audits that would find a leak of that size."""


@dataclass(frozen=True)
class Statistic:
    """A sum of weights [N] over the target's members, or over included canaries. `name` and `signal` as in `LeakTest`.

    `surface` names a package if the statistic is about one.
    """

    surface: str
    name: str
    attack: str
    weights: np.ndarray
    key: object = None
    signal: str = ""


@dataclass(frozen=True)
class Family:
    """Results of the tests.

    Attributes:
        tests: surface -> its statistics.
        telling: check of the shared generator -> p-value corrected for the entire family.
        strongest: (signal, scorer) -> p-value corrected for all surfaces, signals and scorers.
        packages: package -> the attack on all of its surfaces.
        detectable_auc: surface -> the AUC, of the target and of every reference run, that 80 of 100 audits would detect.
    """

    tests: Mapping[str, list[LeakTest]] = field(default_factory=dict)
    telling: Mapping[NullCheck, float] = field(default_factory=dict)
    strongest: Mapping[tuple[str, str], float] = field(default_factory=dict)
    packages: Mapping[str, LeakTest] = field(default_factory=dict)
    detectable_auc: Mapping[str, float] = field(default_factory=dict)


def judge_together(
    config: MembershipConfig,
    evidence: Evidence,
    thresholds: Mapping[str, Thresholds],
    canaries: Canaries | None,
    of_records: Evidence | None = None,
    *,
    packages: Mapping[str, PackageScores] = NO_PACKAGES,
) -> Family:
    """Return every statistic with its own p-value and one that is corrected for all others.

    `evidence` describes sampled units, which are redrawn as units; `of_records` describes single records, if they have
    groups; `packages` holds the attack on all surfaces of each package, for sampled units.
    """
    ours = []
    if evidence.signals:
        ours = [*_of_surfaces(config, evidence, thresholds), *_of_checks(config, evidence), *_of_packages(config, packages)]
    if ours and of_records is not None and of_records.groups is not None:
        ours += _of_single_records(config, of_records, of_records.groups)
    every = list(_of_all_attacks(evidence)) if evidence.signals else []
    coins = list(_of_canaries(canaries)) if canaries else []
    if not ours and not coins:
        return Family()
    parts, runs = [], {}
    if ours:
        sums = _sums(evidence, [*ours, *every])
        runs = _all_runs(config, evidence, ours, sums)
        parts = [sums[:, : len(ours)], *(found.statistic[:, None] for found in runs.values())]
    if canaries and coins:
        parts.append(sums_over_coins(canaries.coins, np.stack([each.weights for each in coins], axis=1)))
    p_BK = p_values(np.concatenate(parts, axis=1))
    named = [*ours, *(Statistic(surface, "runs", config.scorer, np.empty(0)) for surface in runs), *coins]
    together = family_p_values(p_BK)
    limit = float(norm.isf(level_of_one(p_BK, config.family_level)) + norm.ppf(POWER))
    return Family(
        tests=_tests(named, p_BK[0], together),
        telling=_least((each.key, p) for each, p in zip(named, together, strict=True) if isinstance(each.key, NullCheck)),
        packages={
            each.surface: _test(each, *both)
            for each, *both in zip(named, p_BK[0], together, strict=True)
            if each.name == "package"
        },
        strongest=_strongest(every, sums[:, len(ours) :]) if ours else {},
        detectable_auc={**_alone(evidence, ours, sums, limit), **_with_runs(runs, limit)} if ours else {},
    )


def _of_surfaces(config: MembershipConfig, evidence: Evidence, thresholds: Mapping[str, Thresholds]) -> Iterable[Statistic]:
    for surface in evidence.measured_surfaces:
        signal = evidence.signals_of(surface)[0]
        for attack in _attacks_on(config, evidence, surface):
            scores = _scores(evidence, signal, attack)
            yield Statistic(surface, "above", attack, double_ranks(scores))
            yield Statistic(surface, "below", attack, -double_ranks(scores))
            if attack == config.scorer and surface in thresholds:
                yield Statistic(surface, "tail", attack, (scores > thresholds[surface].epsilon).astype(np.float64))
        if not evidence.has_references(signal):
            yield from _without_references(evidence, surface)


def _without_references(evidence: Evidence, surface: str) -> Iterable[Statistic]:
    """Yield the other attacks on a surface that no reference run repeated: quantile regression, and its other signals."""
    declared, *others = evidence.signals_of(surface)
    if evidence.quantile_attack:
        yield Statistic(surface, "above", QUANTILES, double_ranks(_scores(evidence, declared, QUANTILES)))
    for signal in others:
        if not evidence.has_references(signal):
            yield Statistic(surface, "above", PLAIN, double_ranks(_scores(evidence, signal, PLAIN)), signal=signal)


def _attacks_on(config: MembershipConfig, evidence: Evidence, surface: str) -> list[str]:
    """Return the attacks on a surface that may decide its state."""
    attacks: list[str] = [config.scorer] if evidence.has_references(evidence.signals_of(surface)[0]) else [PLAIN]
    if config.shares_generator and sees_images(surface):
        attacks = list(dict.fromkeys([*attacks, PLAIN]))
    return attacks


def _of_single_records(config: MembershipConfig, evidence: Evidence, groups: np.ndarray) -> Iterable[Statistic]:
    """Yield the AUC on single records; a group is redrawn as a unit, with the sum of its records' ranks."""
    numbers = np.unique(groups, return_inverse=True)[1]
    for surface in evidence.measured_surfaces:
        for attack in _attacks_on(config, evidence, surface):
            ranks = sums_of_groups(double_ranks(_scores(evidence, evidence.signals_of(surface)[0], attack)), numbers)
            yield Statistic(surface, "records above", attack, ranks)
            yield Statistic(surface, "records below", attack, -ranks)


def _of_checks(config: MembershipConfig, evidence: Evidence) -> Iterable[Statistic]:
    for check in planned_nulls(config, evidence):
        if check.finding:
            ranks = double_ranks(target_scores(evidence, check.signal, check.queried)[check.scorer])
            surface = evidence.surface_of(check.signal)
            for sign in (1, -1):
                yield Statistic(surface, "shared generator", check.scorer, sign * ranks, key=check)


def _of_packages(config: MembershipConfig, packages: Mapping[str, PackageScores]) -> Iterable[Statistic]:
    for name, attacked in packages.items():
        yield Statistic(name, "package", config.scorer, double_ranks(attacked.scores))


def _of_all_attacks(evidence: Evidence) -> Iterable[Statistic]:
    for surface in evidence.measured_surfaces:
        for signal in evidence.signals_of(surface):
            for name, scores in target_scores(evidence, signal).items():
                yield Statistic(surface, "above", name, double_ranks(scores), (signal, name))


def _of_canaries(canaries: Canaries) -> Iterable[Statistic]:
    """Yield, for every surface, kind and declared share, correct minus wrong guesses of included canaries."""
    for surface, scores in canaries.scores.items():
        for kind, chosen in canaries.kinds.items():
            rows = np.flatnonzero(chosen)
            order = rows[np.argsort(scores[rows], kind="stable")]
            for share in GUESSED_SHARES:
                half = num_guesses(len(rows), share) // 2
                weights = np.zeros(len(scores))
                weights[order[len(order) - half :]], weights[order[:half]] = 1, -1
                if half:
                    yield Statistic(surface, f"{kind} canaries", "", weights)


def _scores(evidence: Evidence, signal: str, attack: str) -> np.ndarray:
    return target_scores(evidence, signal)[attack]


def _sums(evidence: Evidence, statistics: list[Statistic]) -> np.ndarray:
    weights = np.stack([each.weights for each in statistics], axis=1)
    return sums_over_members(evidence.members[0], evidence.strata, weights)


@dataclass(frozen=True)
class Runs:
    """All runs together: the statistic [B], and its rise in standard deviations per unit of every run's AUC."""

    statistic: np.ndarray
    slope: float


def _all_runs(config: MembershipConfig, evidence: Evidence, ours: list[Statistic], sums: np.ndarray) -> dict[str, Runs]:
    """Return for every surface with references the weighted sum of all runs' standardized rank sums.

    Run r is attacked with the runs after it as references, the target with all of them. The run's scores and the
    membership of later runs are given; its own membership is an independent sample. Rank sums of different runs are
    therefore uncorrelated, whatever the attacks learn from one another, and each has known moments. Weights grow as the
    square root of the number of references. The target's share is redrawn; the sum over reference runs is normal (martingale
    central limit theorem), with the covariance between surfaces that the redraws have.
    """
    chosen = [
        index
        for index, each in enumerate(ours)
        if each.name == "above"
        and each.attack == config.scorer
        and evidence.has_references(evidence.signals_of(each.surface)[0])
    ]
    if not chosen or not evidence.independent_runs:
        return {}
    signals = [evidence.signals[evidence.signals_of(ours[index].surface)[0]] for index in chosen]
    observed, covariance, slopes = _reference_runs(SCORERS[config.scorer], signals, evidence.members, evidence.strata)
    drawn = np.random.default_rng(2).multivariate_normal(np.zeros(len(chosen)), covariance, len(sums) - 1, method="eigh")
    rest = np.vstack([observed, drawn])
    spread = np.maximum(sums[:, chosen].std(axis=0), 1e-12)
    own = (sums[:, chosen] - sums[:, chosen].mean(axis=0)) / spread
    weight = (len(evidence.members) - 1) ** 0.5
    product = 2 * evidence.members[0].sum() * (~evidence.members[0]).sum()  # a rank sum, doubled, per unit of AUC
    total = np.sqrt(weight**2 + np.diag(covariance))
    return {
        ours[index].surface: Runs(
            (weight * own + rest)[:, place], float((weight * product / spread[place] + slopes[place]) / total[place])
        )
        for place, index in enumerate(chosen)
    }


def _reference_runs(
    scorer: Scorer, signals: list[np.ndarray], members_RN: np.ndarray, strata_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weighted sum over reference runs of every surface, its covariance, and its slope in their AUC."""
    found, covariance, slopes = np.zeros(len(signals)), np.zeros((len(signals),) * 2), np.zeros(len(signals))
    for rated in zip(*(scorer.score_in_turn(each, members_RN) for each in signals), strict=True):
        run = rated[0][0]
        if run == 0:
            continue
        ranks = np.stack([double_ranks(scores) for _, scores in rated], axis=1)
        mean, spread = moments(members_RN[run], strata_N, ranks)
        deviation = np.sqrt(np.maximum(np.diag(spread), 1e-12))
        weight = len(members_RN) - 1 - run
        found += weight**0.5 * (ranks[members_RN[run]].sum(axis=0) - mean) / deviation
        covariance += weight * spread / np.outer(deviation, deviation)
        slopes += weight**0.5 * 2 * members_RN[run].sum() * (~members_RN[run]).sum() / deviation
    return found, covariance, slopes


def _tests(named: list[Statistic], own: np.ndarray, together: np.ndarray) -> dict[str, list[LeakTest]]:
    """Return, for each surface, the smallest p-value of every kind of statistic; image leaks count for the images."""
    found: dict[str, dict[tuple[str, str, str], LeakTest]] = {}
    for each, p, family in zip(named, own, together, strict=True):
        if each.name in ("shared generator", "package"):
            continue
        test = _test(each, p, family)
        best = found.setdefault(each.surface, {}).setdefault((each.name, each.attack, each.signal), test)
        if test.family_p_value < best.family_p_value:
            found[each.surface][each.name, each.attack, each.signal] = test
    return {surface: list(tests.values()) for surface, tests in found.items()}


def _test(each: Statistic, p_value: float, family_p_value: float) -> LeakTest:
    return LeakTest(
        name=each.name,
        attack=each.attack,
        signal=each.signal,
        p_value=float(p_value),
        family_p_value=float(family_p_value),
    )


def _strongest(every: list[Statistic], sums: np.ndarray) -> dict[tuple[str, str], float]:
    return _least((each.key, p) for each, p in zip(every, family_p_values(p_values(sums)), strict=True))


def _least(pairs: Iterable[tuple[Any, float]]) -> dict[Any, float]:
    found: dict[Any, float] = {}
    for key, p in pairs:
        found[key] = min(float(p), found.get(key, 1.0))
    return found


def _alone(evidence: Evidence, ours: list[Statistic], sums: np.ndarray, limit: float) -> dict[str, float]:
    product = 2 * int(evidence.members[0].sum()) * int((~evidence.members[0]).sum())
    found = {}
    for index, each in enumerate(ours):
        if each.name == "above" and each.surface not in found:
            found[each.surface] = min(1.0, 0.5 + limit * float(sums[:, index].std()) / product)
    return found


def _with_runs(runs: Mapping[str, Runs], limit: float) -> dict[str, float]:
    return {surface: min(1.0, 0.5 + limit / found.slope) for surface, found in runs.items()}
