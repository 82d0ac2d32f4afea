"""Splits follow the pictures, not the listing; membership rows are independent, stratified and of one size."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

from tckr.data.sources.record import TEST, TRAIN
from tckr.errors import UserError
from tckr.stages.prepare.membership import membership_rows, num_members, require_members
from tckr.stages.prepare.splitting import SPLITS, Splits, split_records
from tckr.stages.prepare.staging import Staged


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def staged(sizes: list[int], origin: str = TRAIN, prefix: str = "") -> list[Staged]:
    return [
        Staged(file=f"{prefix}{label}/{n}", origin=origin, label=label, sha256=sha256(f"{prefix}{label} {n}"))
        for label, size in enumerate(sizes)
        for n in range(size)
    ]


def split(records: list[Staged], seed: int = 0, test: float = 0.2, validation: float = 0.1) -> Splits:
    return split_records(records, seed=seed, test_fraction=test, validation_fraction=validation)


def hashes(splits: Splits) -> dict[str, list[str]]:
    return {name: [record.sha256 for record in getattr(splits, name)] for name in SPLITS}


def test_shuffled_and_renamed_files_give_the_same_splits() -> None:
    records = staged([40, 30, 20])
    shuffled = random.Random(1).sample(records, len(records))
    renamed = [Staged(**(vars(record) | {"file": f"x{n}"})) for n, record in enumerate(shuffled)]
    assert hashes(split(renamed)) == hashes(split(records))
    assert hashes(split(records, seed=1)) != hashes(split(records))


def test_every_record_is_in_one_split_and_each_class_is_divided_by_the_fractions() -> None:
    splits = split(staged([100, 50, 10]))
    assert splits.counts(["a", "b", "c"]) == {
        "a": {"pool": 72, "validation": 8, "test": 20},
        "b": {"pool": 36, "validation": 4, "test": 10},
        "c": {"pool": 7, "validation": 1, "test": 2},
    }
    found = [sha for name in SPLITS for sha in hashes(splits)[name]]
    assert len(set(found)) == len(found) == 160
    assert [splits.first_record(name) for name in SPLITS] == [0, 115, 128]


def test_adding_records_of_one_class_moves_no_record_of_another() -> None:
    before, after = split(staged([40, 30])), split(staged([40, 37]))

    def first_class(splits: Splits, name: str) -> set[str]:
        return {record.sha256 for record in getattr(splits, name) if record.label == 0}

    for name in SPLITS:
        assert first_class(before, name) == first_class(after, name)


def test_the_sources_own_test_split_is_the_test_split() -> None:
    splits = split(staged([20, 20]) + staged([5, 6], TEST, "t"))
    assert len(splits.test) == 11
    assert {record.origin for record in splits.test} == {TEST}
    assert {record.origin for record in splits.pool + splits.validation} == {TRAIN}


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_the_smallest_class_keeps_a_member_and_a_non_member(fraction: float) -> None:
    counts = split(staged([4]), test=fraction, validation=fraction).counts(["a"])["a"]
    assert counts["pool"] >= 2
    assert counts["test"] == 1


def rows(labels: np.ndarray, holdout: float, count: int, seed: int = 0) -> np.ndarray:
    none = np.zeros(len(labels), dtype=bool)
    return np.stack(list(membership_rows(labels, none, audit_holdout=holdout, num_rows=count, seed=seed)))


LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [500, 300, 7]))


@pytest.mark.parametrize("holdout", [0.2, 0.5, 0.75])
def test_every_row_has_the_share_of_every_class_rounded_by_chance(holdout: float) -> None:
    matrix = rows(LABELS, holdout, 60)
    total = num_members(807, holdout)
    assert set(matrix.sum(axis=1)) == {total}
    for label, size in enumerate([500, 300, 7]):
        wanted = total * size / 807
        assert set(matrix[:, label == LABELS].sum(axis=1)) == {int(np.floor(wanted)), int(np.ceil(wanted))}


def test_records_of_small_and_large_classes_have_the_same_rate() -> None:
    """100 pairs and one large class, hold-out 0.25: rounded the same way in all rows pairs would have rate 1 or 0.5."""
    labels = np.repeat(np.arange(101), [2] * 100 + [300])
    matrix = rows(labels, 0.25, 400)
    of_pairs, of_large = matrix[:, :200].mean(), matrix[:, 200:].mean()
    assert of_pairs == pytest.approx(of_large, abs=0.01)
    by_class = matrix[:, :200].reshape(400, 100, 2).mean(axis=(0, 2))
    assert abs(by_class - 0.75).max() < 4.5 * 0.25 / 20  # a pair's share is 0.5 or 1: standard deviation 0.25, 400 rows


@pytest.mark.parametrize("holdout", [0.2, 0.5])
def test_two_rows_agree_like_independent_samples(holdout: float) -> None:
    matrix, p = rows(LABELS, holdout, 40), 1 - holdout
    agreement = [(one == other).mean() for number, one in enumerate(matrix) for other in matrix[:number]]
    assert np.mean(agreement) == pytest.approx(p**2 + (1 - p) ** 2, abs=0.005)


def test_reference_rows_say_nothing_about_the_target_row() -> None:
    """Predict row 0 from how often each record is in the others: this works on a balanced design."""
    correlations = []
    for seed in range(60):
        matrix = rows(LABELS, 0.5, 5, seed)
        correlations.append(np.corrcoef(matrix[0], matrix[1:].sum(axis=0))[0, 1])
    standard_error = 1 / np.sqrt(len(LABELS) * len(correlations))
    assert abs(np.mean(correlations)) < 4 * standard_error


def test_each_record_is_a_member_of_about_p_of_the_rows() -> None:
    share = rows(LABELS, 0.5, 400).mean(axis=0)
    assert abs(share - 0.5).max() < 5 * 0.5 / 20  # five standard errors over 807 records


def test_a_row_does_not_depend_on_how_many_rows_there_are() -> None:
    assert (rows(LABELS, 0.5, 3) == rows(LABELS, 0.5, 9)[:3]).all()
    assert (rows(LABELS, 0.5, 3) != rows(LABELS, 0.5, 3, seed=1)).any()


def test_without_holdout_every_record_is_a_member() -> None:
    assert rows(LABELS, 0, 3).all()


def test_extreme_holdouts_keep_one_on_each_side() -> None:
    assert (num_members(5, 0.99), num_members(5, 0.01), num_members(1, 0.5)) == (1, 4, 1)


def test_a_class_too_small_for_the_holdout_is_named() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    require_members(labels, ["cat", "dog"], 0.5)
    with pytest.raises(
        UserError, match=r"0.8 members per run of the 2 pool records of class 'dog'.*audit_holdout=0.5 or less"
    ):
        require_members(labels, ["cat", "dog"], 0.6)
