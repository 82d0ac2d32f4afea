"""Assign usable records to pool, validation and test. Pure: depends on labels, pixel hashes and the seed, never on order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tckr.data.source_rows import NO_RECORD, SourceRows
from tckr.data.sources.record import TEST, TRAIN
from tckr.stages.prepare.class_names import printable
from tckr.stages.prepare.staging import Staged

SPLITS = ("pool", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """Records of each split in stored order; `record` numbers run through pool, validation, test from 0."""

    pool: list[Staged]
    validation: list[Staged]
    test: list[Staged]

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
    """Split by class.

    Records are ranked by a hash of the seed and their pixels, which is a uniform permutation that does not depend on file
    names or listing order. Of a class with n records the first `round(test_fraction * n)` are test, of the rest
    `round(validation_fraction * rest)` validation, each at least one; what remains is the pool. Records that the source
    itself put into its test split are the test split; then none is drawn.

    Args:
        records: usable records with distinct pixels, at least 4 of each class outside the source's test split.
        seed: root seed of `prepare`.
        test_fraction: in (0, 1).
        validation_fraction: in (0, 1), of what test leaves.
    """
    ranked = sorted(records, key=lambda record: _rank(seed, record.sha256))
    given_test = [record for record in ranked if record.origin == TEST]
    splits = Splits([], [], list(given_test))
    by_class: dict[int, list[Staged]] = {}
    for record in ranked:
        if record.origin != TEST:
            by_class.setdefault(record.label, []).append(record)
    for members in by_class.values():
        num_test = 0 if given_test else max(1, round(test_fraction * len(members)))
        num_validation = max(1, round(validation_fraction * (len(members) - num_test)))
        num_test, num_validation = _leave_pool(len(members), num_test, num_validation)
        splits.test.extend(members[:num_test])
        splits.validation.extend(members[num_test : num_test + num_validation])
        splits.pool.extend(members[num_test + num_validation :])
    for split in SPLITS:  # classes mixed, so that any leading part of a split is a random part
        getattr(splits, split).sort(key=lambda record: _rank(seed, record.sha256))
    return splits


def rows_of_source(staged: Sequence[Staged], source_names: Sequence[str], splits: Splits) -> SourceRows:
    """Return which record each labelled training row of the source became; `source_names` are its class names by label."""
    numbers = {
        (record.chunk, record.offset): number  # the same picture in another row, a duplicate, has another place
        for split in SPLITS
        for number, record in enumerate(getattr(splits, split), start=splits.first_record(split))
    }
    rows = [record for record in staged if record.origin == TRAIN and record.label >= 0]
    records = [numbers.get((record.chunk, record.offset), NO_RECORD) for record in rows]
    return SourceRows([printable(source_names[record.label]) for record in rows], np.array(records, dtype=np.int64))


def _leave_pool(size: int, num_test: int, num_validation: int) -> tuple[int, int]:
    """Shrink a greedy test and validation share until two records, a member and a non-member, remain."""
    num_test = min(num_test, size - 3)
    return num_test, max(0, min(num_validation, size - num_test - 2))


def _rank(seed: int, sha256: str) -> bytes:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).digest()
