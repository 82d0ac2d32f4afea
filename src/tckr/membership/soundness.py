"""Checks of a score table before it is judged; they need no attack.

Shape suffixes: R runs (row 0 = target), N records.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import poisson

from tckr.errors import UserError
from tckr.membership.config import MIN_REFERENCE_RUNS
from tckr.membership.evidence import Evidence
from tckr.membership.scorers import MIN_BALANCED
from tckr.membership.units import units_of

DEPENDENCE_ERROR = 1e-6
"""Probability that independent rows are taken for dependent ones."""

GROUPS = 2.0
"""F is divided by this: independent rows with as many members as others in groups of records have a larger F than rows
without groups, twice as large for the smallest groups, pairs."""

MIN_FREEDOM = 30
"""Minimum records beyond the number of runs to tell chance from design; with fewer, only the plainest design is detected."""

NEVER_VARY_ERROR = 1e-6
"""Probability that records in all reference runs or in none are wrongly taken for a part of the design and left out."""

SINGULAR = 1e-9
"""Added to the rows' variances of 1, so that the matrix is invertible even if rows determine one another."""


def require_sound(evidence: Evidence) -> Evidence:
    """Check that all values are finite, that there are enough runs, and that no attack can read membership from the design.

    Returns:
        The evidence without records that never vary (`without_constant`). `independent_runs` is False if the rows were not
        sampled independently, so that only row 0 is attacked: if the reference rows determine one another but not row 0, or
        if each record is in equally many runs (`balanced_runs`).

    Raises:
        UserError: one of these checks fails.
    """
    for name, values_RN in evidence.signals.items():
        _require_finite(name, values_RN, "run")
        if np.ptp(values_RN) == 0:
            raise UserError(
                f"every value of {name} is {values_RN.flat[0]}; expected values that differ between "
                "records, otherwise there is nothing to attack; check how they were computed"
            )
    for control, signals in evidence.controls.items():
        for name, values_N in signals.items():
            _require_finite(name, values_N[None], f"the {control} control, row")
    _require_whole_groups(evidence)
    _require_runs(units_of(evidence).members)
    evidence = without_constant(evidence)
    members = units_of(evidence).members
    balanced = bool(np.ptp(members.sum(axis=0)) == 0) and len(members) >= MIN_BALANCED
    independent = _require_independence(members, balanced=balanced)
    return replace(evidence, independent_runs=independent, balanced_runs=balanced and not independent)


def without_constant(evidence: Evidence) -> Evidence:
    """Return the evidence without records that are in all reference runs or in none, if there are too many for chance.

    Membership of such records was not sampled, and an attack would read that from the reference runs. Row 0 is not used:
    leaving records out by its membership would reveal it. With few runs, some records are in all of them by chance; they are
    kept unless there are more than independent samples at their class's rate explain. With groups, groups are counted.
    """
    units = units_of(evidence)
    references, labels = units.members[1:], units.labels
    seen = references.sum(axis=0)
    constant = (seen == 0) | (seen == len(references))
    strata = labels if len(evidence.class_names) else np.zeros_like(labels)
    sizes = np.bincount(strata)
    strata = np.where(sizes[strata] == 1, len(sizes), strata)  # alone in its class, a record would have a rate of its own
    rates = (np.bincount(strata, seen) / np.maximum(np.bincount(strata) * len(references), 1))[strata]
    by_chance = float((rates ** len(references) + (1 - rates) ** len(references)).sum())
    if constant.all() or poisson.sf(constant.sum() - 1, by_chance) > NEVER_VARY_ERROR:
        return evidence
    if evidence.groups is None:
        return evidence.without_records(np.flatnonzero(constant))
    return evidence.without_records(np.flatnonzero(np.isin(evidence.groups, np.unique(evidence.groups)[constant])))


def _require_finite(name: str, values_RN: np.ndarray, row: str) -> None:
    odd = np.argwhere(~np.isfinite(values_RN))
    if len(odd):
        run, record = odd[0]
        raise UserError(
            f"{name} contains {values_RN[run, record]} ({len(odd)} such values, first in {row} {run}, "
            f"record number {record}); expected finite numbers; compute confidences in log space, clip "
            "them, or remove those records in all runs"
        )


def _require_whole_groups(evidence: Evidence) -> None:
    """Raise a UserError if a run was trained on only a part of a group, because groups were then not sampled."""
    if evidence.groups is None:
        return
    _, first, numbers = np.unique(evidence.groups, return_index=True, return_inverse=True)
    divided = np.argwhere(evidence.members != evidence.members[:, first][:, numbers])
    if len(divided):
        run, record = divided[0]
        raise UserError(
            f"run {run} was trained on some records of group {evidence.groups[record]} but not on others; "
            "expected all or none of a group in every run; remove the groups if records were sampled individually"
        )


def _require_runs(members_RN: np.ndarray) -> None:
    if len(members_RN) > members_RN.shape[1] < MIN_FREEDOM:
        raise UserError(
            f"found {len(members_RN)} runs of {members_RN.shape[1]} records; expected [runs, records] with "
            "more records than runs; the table looks transposed: give signals.T and members.T"
        )
    if len(members_RN) <= MIN_REFERENCE_RUNS:
        raise UserError(
            f"found {len(members_RN)} run(s); expected the target and at least {MIN_REFERENCE_RUNS} reference runs, trained "
            "the same way on other records"
        )
    for run, members in enumerate(members_RN):
        if members.all() or not members.any():
            found = "only members" if members.all() else "no members"
            raise UserError(
                f"run {run} has {found} among the {len(members)} records; expected members and non-members: records that it "
                "was trained on and records of the same kind that it was not"
            )


def _require_independence(members_RN: np.ndarray, *, balanced: bool) -> bool:
    """Return whether the rows were sampled independently; raise a UserError if other rows determine the target's row."""
    told_R = dependence(members_RN)
    if told_R[0] > 0 and not balanced:
        raise UserError(
            f"the membership of run 0 can be predicted from that of the other runs ({told_R[0]:.0%} of its variance); "
            "expected independently sampled rows, or each record in equally many of at least "
            f"{MIN_BALANCED} runs. Otherwise some attacks read membership from the design. Sample every "
            "run's members independently and train again"
        )
    return not told_R.any()


def dependence(members_RN: np.ndarray) -> np.ndarray:
    """Return the share of each row's variance that the other rows predict, [R]; 0 unless it exceeds chance.

    The share is R^2 of the linear regression of a row on all others, 1 - 1 / (inverse of the rows' correlations)_ii. Chance
    is tested by its F-test, corrected for the number of rows. With about as many runs as records, only the design in which
    every record is in equally many runs is detected.
    """
    num_runs, num_records = members_RN.shape
    freedom = num_records - num_runs
    if freedom < MIN_FREEDOM:
        balanced = np.ptp(members_RN.sum(axis=0)) == 0 and num_records > 1
        return np.full(num_runs, float(balanced))
    left_R = 1 / np.diag(np.linalg.inv(np.corrcoef(members_RN) + SINGULAR * np.eye(num_runs)))
    statistic_R = (1 / left_R - 1) * freedom / (num_runs - 1)
    chance_R = num_runs * fisher.sf(statistic_R / GROUPS, num_runs - 1, freedom)
    return np.where(chance_R < DEPENDENCE_ERROR, 1 - left_R, 0.0)
