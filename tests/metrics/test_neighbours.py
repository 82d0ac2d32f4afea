"""Every result equals the direct formula bit by bit: near ties, duplicates, far from the origin, in blocks of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tckr.metrics import neighbours
from tckr.metrics.neighbours import count_within, k_nearest, nearest, nearest_other, pairs_within

Draw = Callable[[np.random.Generator, int], np.ndarray]
WORLDS: dict[str, Draw] = {
    "gaussian": lambda rng, n: rng.normal(size=(n, 12)),
    "many ties": lambda rng, n: rng.integers(0, 2, (n, 4)),
    "pixels": lambda rng, n: rng.integers(0, 256, (n, 48), dtype=np.uint8),
    "far from the origin": lambda rng, n: (1000 + 1e-3 * rng.normal(size=(n, 6))).astype(np.float32),
    "below float32's resolution": lambda rng, n: 1e6 + 1e-6 * rng.normal(size=(n, 6)),
    "below float32's range": lambda rng, n: 1e-25 * rng.normal(size=(n, 3)),
    "of very different lengths": lambda rng, n: rng.normal(size=(n, 3)) * 10.0 ** rng.integers(-20, 14, (n, 1)),
}
WORLD = pytest.mark.parametrize("draw", WORLDS.values(), ids=WORLDS.keys())
BLOCKS = (1, 7, neighbours.BLOCK)


def all_distances(queries: np.ndarray, bank: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(queries[:, None].astype(float) - bank[None].astype(float)).sum(axis=2))


def two_sets(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    bank = draw(rng, 20)
    queries = np.concatenate([draw(rng, 12), bank[5:8]])  # some at distance 0
    return queries, np.concatenate([bank, bank[:4]])  # and some records twice


@WORLD
def test_k_nearest_are_those_of_the_direct_formula_in_every_block_size(draw: Draw) -> None:
    queries, bank = two_sets(draw)
    expected = all_distances(queries, bank)
    order = np.argsort(expected, axis=1, kind="stable")
    for k, block in [(1, 1), (5, 7), (3, 2048), (len(bank), 7), (len(bank), 2048)]:
        distances, indices = k_nearest(queries, bank, k, block=block)
        assert np.array_equal(indices, order[:, :k]), (k, block)
        assert np.array_equal(distances, np.take_along_axis(expected, order[:, :k], axis=1)), (k, block)


@WORLD
def test_nearest_other_leaves_out_the_record_itself_and_nothing_else(draw: Draw) -> None:
    _, bank = two_sets(draw)
    expected = all_distances(bank, bank)
    np.fill_diagonal(expected, np.inf)
    for block in BLOCKS:
        distances, indices = nearest_other(bank, block=block)
        assert np.array_equal(indices, expected.argmin(axis=1)), block
        assert np.array_equal(distances, expected.min(axis=1)), block


@WORLD
def test_count_within_and_pairs_within_include_the_radius_and_nothing_beyond_it(draw: Draw) -> None:
    queries, bank = two_sets(draw)
    expected = all_distances(queries, bank)
    tenth = np.sort(expected, axis=1)[:, 9]
    for radii in (tenth, np.nextafter(tenth, -np.inf), np.full(len(queries), np.inf), np.full(len(queries), -1.0)):
        for block in BLOCKS:
            assert np.array_equal(count_within(queries, bank, radii, block=block), (expected <= radii[:, None]).sum(axis=1))
            near = np.zeros(expected.shape, dtype=bool)
            for rows, columns, distances in pairs_within(queries, bank, radii, block=block):
                assert np.array_equal(distances, expected[rows, columns])
                near[rows, columns] = True
            assert np.array_equal(near, expected <= radii[:, None])


def test_of_equally_near_records_the_first_counts_and_a_duplicate_is_at_exactly_zero() -> None:
    bank = np.array([[3.0, 4.0], [0.1, 0.2], [-3.0, -4.0], [0.1, 0.2]])
    distances, indices = nearest(np.array([[0.0, 0.0], [0.1, 0.2]]), bank[[0, 2]])
    assert (distances[0], indices.tolist()) == (5.0, [0, 0])
    distances, indices = nearest(bank, bank, block=1)
    assert (distances.tolist(), indices.tolist()) == ([0.0] * 4, [0, 1, 2, 1])
    distances, indices = nearest_other(bank)
    assert (distances[[1, 3]].tolist(), indices[[1, 3]].tolist()) == ([0.0, 0.0], [3, 1])


def test_a_winner_that_the_expanded_formula_cannot_see_is_found() -> None:
    # The two records differ by 1e-9 of their distance; |a|^2 - 2ab + |b|^2 in float32 (and in float64) takes them for one.
    bank = np.array([[1e4, 1 + 1e-9], [1e4, 1.0], [2e4, 0.0]])
    distances, indices = nearest(np.array([[1e4, 0.0]]), bank)
    assert (distances[0], indices[0]) == (1.0, 1)


def test_memory_maps_of_long_vectors_are_read_in_short_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r").reshape(30, -1)
    whole = nearest_other(pixels.reshape(30, -1))
    monkeypatch.setattr(neighbours, "MAX_NUMBERS", 192 * 4)
    seen = {pair.scores.shape for pair in neighbours._block_pairs(mapped, mapped, 2048)}
    assert seen == {(4, 4), (4, 2), (2, 4), (2, 2)}
    assert all(np.array_equal(one, other) for one, other in zip(nearest_other(mapped), whole, strict=True))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e19])
def test_values_without_a_distance_are_refused(value: float) -> None:
    with pytest.raises(AssertionError, match="finite values below 1e15"):
        nearest(np.array([[value]]), np.zeros((2, 1)))
