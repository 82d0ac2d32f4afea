"""Choose the canaries of the one-run audit and give half of them a wrong label, by pixels, labels and the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tckr.artifacts.membership import CANARY_KINDS, COMPANION
from tckr.data.groups import group_strata
from tckr.data.seeds import derive_seed
from tckr.errors import UserError
from tckr.stages.prepare.splitting import group_numbers
from tckr.stages.prepare.staging import Staged

MIN_ORDINARY = 2
"""Groups of every class that stay ordinary (one member and one non-member), even if half of the class would be fewer."""


def draw_canaries(
    pool: Sequence[Staged], *, num_canaries: int, num_classes: int, seed: int
) -> tuple[list[Staged], np.ndarray]:
    """Return the pool with the wrong labels of mislabelled canaries, and the kinds of all records, int8 [N].

    Groups (single records, if they have no group) are ranked by a hash of the seed and their pixels, as for the splits, and
    taken from the top. Of a class with n groups, at least half, and at least 2, stay ordinary, so that the other numbers
    still describe a sound data set. A canary includes its complete group: its records share one coin, and all but one are
    `COMPANION`s. Groups become natural (label kept) and mislabelled canaries in turn, with all their records. The wrong
    label is uniform over the other classes and is used by every later stage, so the pipeline is audited as it is. The coins
    are sampled later, by `membership_rows`.

    Args:
        pool: records with distinct pixels, of 2 or more classes.
        num_canaries: number of groups to take, even.
        num_classes: labels are 0 to `num_classes - 1`.
        seed: root seed of `prepare`.

    Raises:
        UserError: fewer records can be canaries.
    """
    candidates = _candidates(pool, seed) if num_canaries else []
    unit = "groups " if any(record.group for record in pool) else ""
    if num_canaries > len(candidates):
        raise UserError(
            f"prepare.num_canaries={num_canaries}, but of the {len(pool)} images in the pool only {len(candidates)} {unit}"
            f"can be canaries: half of every class, and at least {MIN_ORDINARY} {unit or 'images '}of it, must stay "
            f"ordinary. Set prepare.num_canaries={len(candidates) // 2 * 2} or lower, or add images."
        )
    kinds = np.zeros(len(pool), dtype=np.int8)
    relabelled = list(pool)
    for number, positions in enumerate(candidates[:num_canaries]):
        kinds[positions] = COMPANION
        first = min(positions, key=lambda position: pool[position].sha256)
        kinds[first] = CANARY_KINDS["mislabelled" if number % 2 else "natural"]
        for position in positions if number % 2 else ():
            relabelled[position] = replace(pool[position], label=_wrong_label(pool[position], num_classes, seed))
    return relabelled, kinds


def _candidates(pool: Sequence[Staged], seed: int) -> list[list[int]]:
    """Return the positions of each group that can become a canary, in random order."""
    if not pool:
        return []
    numbers = group_numbers(pool)
    strata = group_strata(numbers, np.array([record.label for record in pool]))
    positions: list[list[int]] = [[] for _ in strata]
    for position, number in enumerate(numbers):
        positions[number].append(position)
    room = {label: min(size // 2, size - MIN_ORDINARY) for label, size in Counter(strata.tolist()).items()}
    candidates = []
    for number in sorted(range(len(strata)), key=lambda number: _rank([pool[n].sha256 for n in positions[number]], seed)):
        if room[int(strata[number])] > 0:
            room[int(strata[number])] -= 1
            candidates.append(positions[number])
    return candidates


def _rank(identities: Sequence[str], seed: int) -> int:
    return derive_seed(seed, "canary", min(identities))


def _wrong_label(record: Staged, num_classes: int, seed: int) -> int:
    step = 1 + derive_seed(seed, "canary label", record.sha256) % (num_classes - 1)
    return (record.label + step) % num_classes
