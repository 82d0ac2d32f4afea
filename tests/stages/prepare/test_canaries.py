"""Canaries follow the pictures, their coins are fair and independent, and without them nothing changes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from tckr.artifacts.data_card import DataCard
from tckr.artifacts.membership import CANARY_KINDS, MEMBERSHIP_ROWS, read_canaries, read_members, read_membership
from tckr.data.images import load_images
from tckr.data.seeds import derive_seed
from tckr.errors import UserError
from tckr.stages.prepare.canaries import draw_canaries
from tckr.stages.prepare.membership import members_per_class, membership_rows, num_members
from tckr.stages.prepare.staging import Staged
from tests.stages.prepare.pictures import prepared, write_classes
from tests.stages.prepare.test_splits import split, staged

NATURAL, MISLABELLED = CANARY_KINDS["natural"], CANARY_KINDS["mislabelled"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the digits with 200 canaries."""
    folder = tmp_path_factory.mktemp("canaries")
    return prepared(folder, "digits", num_canaries=200)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the digits without canaries."""
    return prepared(tmp_path_factory.mktemp("plain"), "digits")


def pool_labels(folder: Path) -> np.ndarray:
    return load_images(folder / "pool", None).labels


def test_natural_canaries_keep_their_label_and_mislabelled_ones_never_do(digits: Path, plain: Path) -> None:
    kinds, stored, true = read_canaries(digits), pool_labels(digits), pool_labels(plain)
    assert (stored != true).tolist() == (kinds == MISLABELLED).tolist()
    assert ((stored >= 0) & (stored < 10)).all()
    assert Counter(kinds.tolist()) == {0: len(true) - 200, NATURAL: 100, MISLABELLED: 100}


def test_pictures_and_the_other_splits_are_those_of_a_run_without_canaries(digits: Path, plain: Path) -> None:
    assert (load_images(digits / "pool", None).images == load_images(plain / "pool", None).images).all()
    for split_name in ("validation", "test"):
        for path in (plain / split_name).iterdir():
            assert (digits / split_name / path.name).read_bytes() == path.read_bytes()
    assert DataCard.read(digits).test_sha256 == DataCard.read(plain).test_sha256


def test_the_card_counts_canaries_stored_labels_and_the_targets_members(digits: Path, plain: Path) -> None:
    card, labels = DataCard.read(digits), pool_labels(digits)
    assert card.canaries == {"natural": 100, "mislabelled": 100}
    assert [card.counts[name]["pool"] for name in card.class_names] == np.bincount(labels).tolist()
    assert card.num_members == len(read_members(digits, 0))
    assert DataCard.read(plain).canaries == {"natural": 0, "mislabelled": 0}
    assert not read_canaries(plain).any()


def test_coins_are_fair_and_independent_over_runs_and_canaries(digits: Path) -> None:
    kinds = read_canaries(digits)
    coins = 2.0 * np.array(read_membership(digits))[:, kinds > 0] - 1
    rows, canaries = coins.shape
    assert (rows, canaries) == (MEMBERSHIP_ROWS, 200)
    assert abs(coins.mean()) < 4 / np.sqrt(coins.size)
    for kind in (NATURAL, MISLABELLED):
        assert abs(coins[:, kinds[kinds > 0] == kind].mean()) < 4 / np.sqrt(coins.size / 2)
    for products in (coins @ coins.T / canaries, coins.T @ coins / rows):
        size, trials = len(products), coins.size // len(products)
        pairs = products[np.triu_indices(size, 1)]
        assert abs(pairs.mean()) < 4 / np.sqrt(trials * len(pairs))
        assert pairs.var() == pytest.approx(1 / trials, rel=0.15)
    assert 0.5 * canaries < coins.sum(axis=1).var() < 1.7 * canaries  # a fixed number in would have variance 0


def test_ordinary_records_keep_class_stratified_counts(digits: Path) -> None:
    ordinary, labels, matrix = read_canaries(digits) == 0, pool_labels(digits), read_membership(digits)
    for label in range(10):
        of_class = ordinary & (labels == label)
        assert abs(matrix[:, of_class].sum(axis=1) - 0.5 * of_class.sum()).max() < 1.05
    assert len(set(matrix[:, ordinary].sum(axis=1))) == 1


def test_coins_and_ordinary_members_say_nothing_about_one_another() -> None:
    """Ordinary rows are the same whether or not other records are canaries."""
    labels = np.repeat([0, 1], [30, 20])
    canaries = np.zeros(50, dtype=bool)
    canaries[::5] = True
    some = np.stack(list(membership_rows(labels, canaries, audit_holdout=0.5, num_rows=9, seed=3)))
    alone = np.stack(list(membership_rows(labels[~canaries], np.zeros(40, bool), audit_holdout=0.5, num_rows=9, seed=3)))
    assert (some[:, ~canaries] == alone).all()


def test_without_canaries_the_matrix_is_sampled_as_before() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 30, 7]))
    found = list(membership_rows(labels, np.zeros(87, dtype=bool), audit_holdout=0.3, num_rows=4, seed=5))
    for row, members in enumerate(found):
        generator = np.random.default_rng(derive_seed(5, "membership", row))
        expected = np.zeros(87, dtype=bool)
        sizes = members_per_class(np.array([50, 30, 7]), num_members(87, 0.3), generator)
        for label, size in enumerate(sizes):
            expected[generator.permutation(np.flatnonzero(labels == label))[:size]] = True
        assert (members == expected).all()


def test_without_canaries_the_pool_is_untouched() -> None:
    pool = split(staged([40, 30, 20])).pool
    relabelled, kinds = draw_canaries(pool, num_canaries=0, num_classes=3, seed=0)
    assert relabelled == pool
    assert not kinds.any()


def test_with_no_holdout_only_canaries_are_ever_left_out(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"cat": 30, "dog": 30})
    out = prepared(tmp_path, data, audit_holdout=0, num_canaries=12)
    canaries, matrix = read_canaries(out) > 0, read_membership(out)
    assert matrix[:, ~canaries].all()
    assert 0 < matrix[:, canaries].mean() < 1


def drawn(records: list[Staged], num_canaries: int, seed: int = 0) -> dict[str, tuple[int, int]]:
    """Return sha256 -> (kind, label) of all canaries."""
    labels = {record.label for record in records}
    pool, kinds = draw_canaries(split(records, seed).pool, num_canaries=num_canaries, num_classes=len(labels), seed=seed)
    return {record.sha256: (int(kind), record.label) for record, kind in zip(pool, kinds, strict=True) if kind}


def test_canaries_and_their_wrong_labels_follow_the_pictures_and_the_seed_not_the_listing() -> None:
    records = staged([40, 30, 20])
    found = drawn(records, 20)
    assert drawn(random.Random(1).sample(records, len(records)), 20) == found
    assert drawn(records, 20, seed=1) != found


def test_the_place_of_a_record_in_the_pool_decides_nothing() -> None:
    pool = split(staged([40, 30, 20])).pool
    forth, back = (draw_canaries(order, num_canaries=20, num_classes=3, seed=0) for order in (pool, pool[::-1]))
    assert forth[0] == back[0][::-1]
    assert (forth[1] == back[1][::-1]).all()


def test_more_canaries_are_more_of_the_same() -> None:
    few, many = drawn(staged([40, 30, 20]), 10), drawn(staged([40, 30, 20]), 30)
    assert len(few) == 10
    assert few.items() <= many.items()


def test_wrong_labels_are_uniform_over_the_other_classes() -> None:
    records = staged([2000, 2000, 2000, 2000])
    true = {record.sha256: record.label for record in records}
    wrong = [(true[sha], label) for sha, (kind, label) in drawn(records, 2800).items() if kind == MISLABELLED]
    assert all(before != after for before, after in wrong)
    counts = Counter(wrong)
    assert len(counts) == 12
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_half_of_every_class_and_two_of_it_stay_ordinary() -> None:
    records = staged([2, 3, 5, 40])
    relabelled, kinds = draw_canaries(records, num_canaries=22, num_classes=4, seed=0)
    ordinary = Counter(record.label for record, kind in zip(records, kinds, strict=True) if not kind)
    assert ordinary[0] == 2
    assert ordinary[1] >= 2
    assert ordinary[2] >= 3
    assert ordinary[3] >= 20
    assert len(relabelled) == len(records)


def test_too_many_canaries_say_what_was_found_expected_and_to_do(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"cat": 12, "dog": 12})
    with pytest.raises(UserError) as error:
        prepared(tmp_path, data, num_canaries=20)
    message = str(error.value)
    assert "prepare.num_canaries=20" in message
    assert "of the 18 images in the pool only 8 can be canaries" in message
    assert "Set prepare.num_canaries=8 or lower, or add images" in message
    prepared(tmp_path / "again", data, num_canaries=8)
