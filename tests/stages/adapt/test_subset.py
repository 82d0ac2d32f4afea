"""A share of the members: balanced, nested, sampled by the seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tckr.stages.adapt.subset import subset_rows

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 5], [100, 50, 20, 1]))
SHARES = (1 / 50, 1 / 20, 1 / 10, 0.5, 1.0)


def test_every_class_gives_its_share() -> None:
    for share, counts in zip(
        SHARES, ([2, 1, 1, 1], [5, 2, 1, 1], [10, 5, 2, 1], [50, 25, 10, 1], [100, 50, 20, 1]), strict=True
    ):
        rows = subset_rows(LABELS, share, seed=3)
        assert np.unique(LABELS[rows], return_counts=True)[1].tolist() == counts
        assert (np.diff(rows) > 0).all()


def test_smaller_shares_are_parts_of_larger_ones() -> None:
    subsets = [set(subset_rows(LABELS, share, seed=3)) for share in SHARES]
    assert all(small < large for small, large in pairwise(subsets))
    assert subsets[-1] == set(range(len(LABELS)))


def test_the_draw_follows_from_the_seed() -> None:
    assert np.array_equal(subset_rows(LABELS, 0.1, seed=3), subset_rows(LABELS, 0.1, seed=3))
    assert not np.array_equal(subset_rows(LABELS, 0.1, seed=3), subset_rows(LABELS, 0.1, seed=4))
