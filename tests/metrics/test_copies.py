"""Copies: no leakage is found where there is none, planted copies are found and counted, and order does not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tckr.metrics.copies import FeatureSet, chance_of_any, measure_copies, near_threshold
from tckr.metrics.estimate import Estimate, Measured, NotMeasurable
from tckr.metrics.results import CopiesResult

SIMULATIONS = 300


def points(rng: np.random.Generator, count: int, first_id: int = 0) -> FeatureSet:
    """Return a cloud with a dense spot of a tenth of the points, as blank images are."""
    vectors = rng.normal(size=(count, 6))
    blank = rng.random(count) < 0.1
    vectors[blank] *= 0.02
    return FeatureSet(vectors, first_id + np.arange(count))


def planted(rng: np.random.Generator, share: float, *, num_members: int = 200, num_synthetic: int = 200) -> CopiesResult:
    members, holdout, synthetic = points(rng, num_members, 1000), points(rng, 200, 5000), points(rng, num_synthetic)
    copied = round(share * num_synthetic)
    synthetic.vectors[:copied] = members.vectors[:copied]
    return measure_copies(synthetic, members, holdout, confidence=0.95)


def value(measured: Measured) -> float:
    assert isinstance(measured, Estimate), measured
    return measured.value


def covers(measured: Measured, truth: float) -> bool:
    assert isinstance(measured, Estimate), measured
    return measured.covers(truth)


@pytest.mark.parametrize(("num_synthetic", "num_members"), [(60, 60), (600, 60), (200, 120)])
def test_without_leakage_the_intervals_cover_it(num_synthetic: int, num_members: int) -> None:
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(SIMULATIONS):
        sets = points(rng, num_synthetic), points(rng, num_members), points(rng, 60)
        found = measure_copies(*sets, confidence=0.95)
        covered += covers(found.excess, 0.0), covers(found.closer, 0.5)
    assert (covered >= 0.93 * SIMULATIONS).all(), covered / SIMULATIONS


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_of_planted_copies_is_found_counted_and_flagged_first(seed: int) -> None:
    found = planted(np.random.default_rng(seed), 0.2)
    assert covers(found.excess, 0.2)
    assert not covers(found.excess, 0.0)
    assert value(found.closer) == pytest.approx(0.2 + 0.8 / 2, abs=0.1)
    assert value(found.near_member) > 0.2 > value(found.near_holdout)
    first = found.flagged[:40]
    assert sorted((image.synthetic, image.member) for image in first) == [(i, 1000 + i) for i in range(40)]
    assert all(image.member_distance == 0 < image.holdout_distance for image in first)
    assert all(image.member_distance > 0 for image in found.flagged[40:])
    assert found.num_flagged == len(found.flagged) >= 40
    assert found.num_mirrored < 20


def test_every_flagged_image_is_kept_however_many_there_are() -> None:
    found = planted(np.random.default_rng(3), 0.9)
    assert found.num_flagged == len(found.flagged) >= 180


def test_a_copy_counts_by_the_chance_that_its_member_is_among_as_many_as_the_holdout_has() -> None:
    # Half of the images are copies; a random half of 400 members holds the copied one half of the time.
    found = planted(np.random.default_rng(1), 0.5, num_members=400)
    assert covers(found.excess, 0.25)
    assert not covers(found.excess, 0.5)


def test_one_record_copied_many_times_is_one_observation_and_all_its_copies_are_flagged() -> None:
    rng = np.random.default_rng(2)
    synthetic, members, holdout = points(rng, 200), points(rng, 200), points(rng, 200)
    members.vectors[7] = 3.0
    synthetic.vectors[:60] = members.vectors[7]
    found = measure_copies(synthetic, members, holdout, confidence=0.95)
    assert value(found.excess) == pytest.approx(0.3, abs=0.03)
    assert covers(found.excess, 0.0)
    assert {image.synthetic for image in found.flagged[:60]} == set(range(60))
    assert {image.member for image in found.flagged[:60]} == {7}


def test_order_of_images_and_records_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    sets = [points(rng, 150), points(rng, 90, 500), points(rng, 60, 900)]
    sets[0].vectors[:20] = sets[1].vectors[:20]
    one = measure_copies(*sets, confidence=0.95)
    orders = [rng.permutation(len(each)) for each in sets]
    permuted = [FeatureSet(each.vectors[order], each.ids[order]) for each, order in zip(sets, orders, strict=True)]
    other = measure_copies(*permuted, confidence=0.95)
    assert other.flagged == one.flagged
    assert (other.threshold, other.num_flagged, other.num_mirrored) == (one.threshold, one.num_flagged, one.num_mirrored)
    for field in ("excess", "near_member", "near_holdout", "closer"):
        first, second = getattr(one, field), getattr(other, field)
        assert [second.value, second.low, second.high] == pytest.approx([first.value, first.low, first.high], abs=1e-12)


@pytest.mark.parametrize("num_members", [60, 90])
def test_exchanging_members_and_holdout_mirrors_every_number(num_members: int) -> None:
    rng = np.random.default_rng(4)
    synthetic, members, holdout = points(rng, 150), points(rng, num_members), points(rng, 60)
    synthetic.vectors[:20] = members.vectors[:20]
    one = measure_copies(synthetic, members, holdout, confidence=0.95)
    other = measure_copies(synthetic, holdout, members, confidence=0.95)
    assert isinstance(one.excess, Estimate)
    assert isinstance(other.excess, Estimate)
    assert [-other.excess.high, -other.excess.value, -other.excess.low] == pytest.approx(
        [one.excess.low, one.excess.value, one.excess.high], abs=1e-12
    )
    assert value(other.closer) == pytest.approx(1 - value(one.closer), abs=1e-12)
    assert (other.threshold, other.near_member, other.num_flagged) == (one.threshold, one.near_holdout, one.num_mirrored)


def test_numbers_of_a_line_by_hand() -> None:
    members = FeatureSet(np.array([[0.0], [10.0], [20.0]]), np.array([1, 2, 3]))
    holdout = FeatureSet(np.array([[1.0], [15.0], [32.0]]), np.array([4, 5, 6]))
    synthetic = FeatureSet(np.array([[0.25], [10.5], [12.5], [33.0], [40.0]]), np.array([70, 71, 72, 73, 74]))
    found = measure_copies(synthetic, members, holdout, confidence=0.95, quantile=0.2)
    # Gaps to the nearest other real record: 1, 1, 5, 5, 5, 12. With tau = 1 the first image is near both sides, the second
    # near a member only, the fourth near a hold-out record only; the third lies halfway between the sides.
    assert found.threshold == 1.0
    assert value(found.near_member) == value(found.near_holdout) == pytest.approx(2 / 5)
    assert value(found.excess) == 0
    assert value(found.closer) == pytest.approx((1 + 1 + 0.5 + 0 + 0) / 5)
    listed = [(i.synthetic, i.member, i.member_distance, i.holdout, i.holdout_distance) for i in found.flagged]
    assert listed == [(71, 2, 0.5, 5, 4.5), (70, 1, 0.25, 4, 0.75)]
    assert (found.num_flagged, found.num_mirrored) == (2, 1)


def test_threshold_is_set_by_the_real_records_whichever_side_they_are_on() -> None:
    rng = np.random.default_rng(6)
    both = rng.normal(size=(60, 3))
    gaps = np.sqrt(np.square(both[:, None] - both[None]).sum(axis=2)) + np.diag(np.full(60, np.inf))
    assert near_threshold(both[:20], both[20:], 0.05) == pytest.approx(np.quantile(gaps.min(axis=1), 0.05), abs=1e-12)


def test_chance_that_a_random_subset_holds_a_marked_record_is_counted_by_hand() -> None:
    # Of the 6 pairs of 4 records, 3 hold a given one and 5 one of two given ones.
    assert chance_of_any(np.arange(5), 4, 2) == pytest.approx([0, 3 / 6, 5 / 6, 1, 1], abs=1e-12)
    assert chance_of_any(np.arange(4), 3, 3).tolist() == [0, 1, 1, 1]
    large = 1 - math.comb(700 - 3, 300) / math.comb(700, 300)
    assert chance_of_any(np.array([3]), 700, 300)[0] == pytest.approx(large, rel=1e-9)


@pytest.mark.parametrize(("num_synthetic", "num_members", "num_holdout"), [(9, 9, 0), (9, 9, 1), (9, 1, 9), (0, 9, 9)])
def test_too_few_records_are_not_measurable_and_say_so(num_synthetic: int, num_members: int, num_holdout: int) -> None:
    rng = np.random.default_rng(0)
    sets = [points(rng, count) for count in (num_synthetic, num_members, num_holdout)]
    found = measure_copies(*sets, confidence=0.95)
    for measured in (found.excess, found.near_member, found.near_holdout, found.closer):
        assert isinstance(measured, NotMeasurable)
        assert f"found {num_synthetic}, {num_members} and {num_holdout}" in measured.reason
    assert (found.threshold, found.flagged, found.num_flagged) == (None, [], 0)


def test_result_survives_being_written() -> None:
    found = planted(np.random.default_rng(0), 0.2)
    assert CopiesResult.model_validate_json(found.model_dump_json()) == found
