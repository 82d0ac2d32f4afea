"""Choose the canaries of the one-run audit and give half of them a wrong label. Pure: pixels, labels and the seed decide."""

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
"""Groups of every class that stay ordinary, a member and a non-member, even where half of the class would be fewer."""


def draw_canaries(
    pool: Sequence[Staged], *, num_canaries: int, num_classes: int, seed: int
) -> tuple[list[Staged], np.ndarray]:
    """Return the pool, mislabelled canaries with their wrong label, and the kinds of all records, int8 [N].

    Groups (of one record, where it has none) are ranked by a hash of the seed and their pixels, as the splits are, and taken
    from the top; of a class with n groups at least half, and 2, stay ordinary, so that the other numbers still describe a
    sound data set. A canary brings its whole group: its records share one coin, and all but one are `COMPANION`s. The taken
    are natural (label kept) and mislabelled in turn, all records of a group. The wrong label is uniform over the other
    classes, and is the one that every later stage sees: the pipeline is audited as it is. No coin is drawn here
    (`membership_rows` does).

    Args:
        pool: records with distinct pixels, of 2 or more classes.
        num_canaries: groups to take, even.
        num_classes: labels are 0 to `num_classes - 1`.
        seed: root seed of `prepare`.

    Raises:
        UserError: fewer records may be canaries.
    """
    candidates = _candidates(pool, seed)
    unit = "groups " if any(record.group for record in pool) else ""
    if num_canaries > len(candidates):
        raise UserError(
            f"prepare.num_canaries={num_canaries}, but of the {len(pool)} images in the pool only {len(candidates)} {unit}"
            f"may be canaries: half of every class, and at least {MIN_ORDINARY} {unit or 'images '}of it, must stay "
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
    """Return the positions of each group that may become a canary, in random order."""
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
