"""Assign usable records to pool, validation and test, by labels, pixel hashes and the seed, independent of order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tckr.data.groups import group_strata, number_groups
from tckr.data.source_rows import NO_RECORD, SourceRows
from tckr.data.sources.record import TEST, TRAIN
from tckr.stages.prepare.class_names import printable
from tckr.stages.prepare.staging import Staged

SPLITS = ("pool", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """Records of each split in stored order; `record` numbers run from 0 through pool, validation and test."""

    pool: list[Staged]
    validation: list[Staged]
    test: list[Staged]

    def in_order(self) -> list[Staged]:
        """Return all records in order of their numbers."""
        return [*self.pool, *self.validation, *self.test]

    def first_record(self, split: str) -> int:
        """Return the number of the first record of a split."""
        return {"pool": 0, "validation": len(self.pool), "test": len(self.pool) + len(self.validation)}[split]

    def counts(self, class_names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return class name -> split -> number of records."""
        counts = {name: dict.fromkeys(SPLITS, 0) for name in class_names}
        for split in SPLITS:
            for record in getattr(self, split):
                counts[class_names[record.label]][split] += 1
        return counts


def split_records(records: Sequence[Staged], *, seed: int, test_fraction: float, validation_fraction: float) -> Splits:
    """Split by class, and by group if records have one.

    Groups (single records, if they have no group) are ranked by a hash of the seed and their pixels, which is a uniform
    permutation that does not depend on file names or listing order. A group is assigned to its rarest class
    (`group_strata`). Of a class with n records, the leading groups with about `round(test_fraction * n)` of them are
    test; of the rest, those with about `round(validation_fraction * rest)` are validation, each at least one; what remains
    is the pool. If the source has a test split, its records are the test split, and none is sampled.

    Args:
        records: usable records with distinct pixels, at least 4 groups of each class outside the source's test split.
        seed: root seed of `prepare`.
        test_fraction: in (0, 1).
        validation_fraction: in (0, 1), share of the records outside of test.
    """
    given_test = [record for record in records if record.origin == TEST]
    splits = Splits([], [], list(given_test))
    for groups in _ranked_groups([record for record in records if record.origin != TEST], seed):
        sizes = [len(group) for group in groups]
        num_test = 0 if given_test else _num_leading(sizes, round(test_fraction * sum(sizes)))
        num_validation = _num_leading(sizes[num_test:], round(validation_fraction * sum(sizes[num_test:])))
        num_test, num_validation = _leave_pool(len(groups), num_test, num_validation)
        splits.test.extend(record for group in groups[:num_test] for record in group)
        splits.validation.extend(record for group in groups[num_test : num_test + num_validation] for record in group)
        splits.pool.extend(record for group in groups[num_test + num_validation :] for record in group)
    for split in SPLITS:  # classes are mixed, so that any leading part of a split is a random sample
        getattr(splits, split).sort(key=lambda record: _rank(seed, record.sha256))
    return splits


def _ranked_groups(records: Sequence[Staged], seed: int) -> list[list[list[Staged]]]:
    """Return for each class its assigned groups in random order; a group is the list of its records."""
    if not records:
        return []
    numbers = group_numbers(records)
    strata = group_strata(numbers, np.array([record.label for record in records]))
    groups: list[list[Staged]] = [[] for _ in strata]
    for number, record in zip(numbers, records, strict=True):
        groups[number].append(record)
    by_class: dict[int, list[list[Staged]]] = {}
    for stratum, group in zip(strata.tolist(), groups, strict=True):
        by_class.setdefault(stratum, []).append(group)
    for of_class in by_class.values():
        of_class.sort(key=lambda group: _rank(seed, min(record.sha256 for record in group)))
    return list(by_class.values())


def group_numbers(records: Sequence[Staged]) -> np.ndarray:
    """Return int64 [N]: the group of each record as a number from 0, in order of first appearance."""
    numbers = number_groups([record.group for record in records], [record.sha256 for record in records])
    return np.array(numbers, dtype=np.int64)


def _num_leading(sizes: Sequence[int], wanted: int) -> int:
    """Return the number of leading groups whose total size is nearest to `wanted` records, at least one."""
    found, total = 1, sum(sizes[:1])
    while found < len(sizes) and abs(total + sizes[found] - wanted) < abs(total - wanted):
        total += sizes[found]
        found += 1
    return found


def rows_of_source(staged: Sequence[Staged], source_names: Sequence[str], splits: Splits) -> SourceRows:
    """Return the record of each labelled training row of the source; `source_names` are its class names by label."""
    numbers = {
        (record.chunk, record.offset): number  # a duplicate in another row has another position
        for split in SPLITS
        for number, record in enumerate(getattr(splits, split), start=splits.first_record(split))
    }
    rows = [record for record in staged if record.origin == TRAIN and record.label >= 0]
    records = [numbers.get((record.chunk, record.offset), NO_RECORD) for record in rows]
    return SourceRows([printable(source_names[record.label]) for record in rows], np.array(records, dtype=np.int64))


def _leave_pool(size: int, num_test: int, num_validation: int) -> tuple[int, int]:
    """Reduce the test and validation shares until two groups, a member and a non-member, remain in the pool."""
    num_test = max(0, min(num_test, size - 3))
    return num_test, max(0, min(num_validation, size - num_test - 2))


def _rank(seed: int, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
