"""Choose the canaries of the one-run audit and give half of them a wrong label. Pure: pixels, labels and the seed decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tckr.artifacts.membership import CANARY_KINDS
from tckr.data.seeds import derive_seed
from tckr.errors import UserError
from tckr.stages.prepare.staging import Staged

MIN_ORDINARY = 2
"""Records of every class that stay ordinary, a member and a non-member, even where half of the class would be fewer."""


def draw_canaries(
    pool: Sequence[Staged], *, num_canaries: int, num_classes: int, seed: int
) -> tuple[list[Staged], np.ndarray]:
    """Return the pool, mislabelled canaries with their wrong label, and the kinds of all records, int8 [N].

    Records are ranked by a hash of the seed and their pixels, as the splits are, and taken from the top; of a class with n
    records at least half, and 2, stay ordinary, so that the other numbers still describe a sound data set. The taken are
    natural (label kept) and mislabelled in turn. The wrong label is uniform over the other classes, and is the one that
    every later stage sees: the pipeline is audited as it is. No coin is drawn here (`membership_rows` does).

    Args:
        pool: records with distinct pixels, of 2 or more classes.
        num_canaries: even.
        num_classes: labels are 0 to `num_classes - 1`.
        seed: root seed of `prepare`.

    Raises:
        UserError: fewer records may be canaries.
    """
    candidates = _candidates(pool, seed)
    if num_canaries > len(candidates):
        raise UserError(
            f"prepare.num_canaries={num_canaries}, but of the {len(pool)} images in the pool only {len(candidates)} may be "
            f"canaries: half of every class, and at least {MIN_ORDINARY} images of it, must stay ordinary. "
            f"Set prepare.num_canaries={len(candidates) // 2 * 2} or lower, or add images."
        )
    kinds = np.zeros(len(pool), dtype=np.int8)
    kinds[candidates[:num_canaries:2]] = CANARY_KINDS["natural"]
    kinds[candidates[1:num_canaries:2]] = CANARY_KINDS["mislabelled"]
    relabelled = list(pool)
    for position in candidates[1:num_canaries:2]:
        relabelled[position] = replace(pool[position], label=_wrong_label(pool[position], num_classes, seed))
    return relabelled, kinds


def _candidates(pool: Sequence[Staged], seed: int) -> list[int]:
    """Return the positions that may become canaries, in random order."""
    sizes = Counter(record.label for record in pool)
    room = {label: min(size // 2, size - MIN_ORDINARY) for label, size in sizes.items()}
    candidates = []
    for position in sorted(range(len(pool)), key=lambda position: derive_seed(seed, "canary", pool[position].sha256)):
        if room[pool[position].label] > 0:
            room[pool[position].label] -= 1
            candidates.append(position)
    return candidates


def _wrong_label(record: Staged, num_classes: int, seed: int) -> int:
    step = 1 + derive_seed(seed, "canary label", record.sha256) % (num_classes - 1)
    return (record.label + step) % num_classes
