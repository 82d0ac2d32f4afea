"""Evidence about groups of records (one patient, one part): what `prepare` drew as a whole is what the audit judges.

A group's signal is the mean of the signals of its records, in every run and control; its features are the mean of theirs.
Records of a group are members together and answer alike, so as observations of their own they would make every interval too
narrow and every p-value too small.

Shape suffixes: R runs (row 0 = target), N records, G groups.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tckr.data.groups import group_strata
from tckr.membership.evidence import Evidence


def units_of(evidence: Evidence) -> Evidence:
    """Return the evidence about what was drawn as a whole: groups, or records where there are none."""
    return evidence if evidence.groups is None else of_groups(evidence, evidence.groups)


def of_groups(evidence: Evidence, groups: np.ndarray) -> Evidence:
    """Return the evidence about the groups [N] of its records; a group's class is the one that it was drawn with."""
    ids, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return replace(
        evidence,
        groups=None,
        records=ids,
        labels=group_strata(numbers, evidence.labels),
        members=evidence.members[:, first],
        signals={name: means(values, numbers) for name, values in evidence.signals.items()},
        correct={name: means(values, numbers) for name, values in evidence.correct.items()},
        controls={
            control: {name: means(values, numbers) for name, values in found.items()}
            for control, found in evidence.controls.items()
        },
        features=None if evidence.features is None else means(evidence.features.T, numbers).T,
    )


def means(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the means of the values [..., N] of each group, [..., G]; `numbers` int64 [N] number the groups from 0."""
    return sums(values, numbers) / np.bincount(numbers)


def shared_in_groups(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return for each record the mean of the values [..., N] of its group [N]."""
    numbers = np.unique(groups, return_inverse=True)[1]
    return means(values, numbers)[..., numbers]


def sums(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the sums of the values [..., N] of each group, [..., G]."""
    rows = values.reshape(-1, len(numbers))
    added = np.stack([np.bincount(numbers, row, minlength=numbers.max(initial=-1) + 1) for row in rows])
    return added.reshape(*values.shape[:-1], -1)
