"""Synthetic and hold-out images are compared with the same members, equally many of each, sampled by the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from tckr.metrics.estimate import Estimate, NotMeasurable
from tckr.metrics.results import FidelityResult
from tckr.stages.audit import fidelity
from tckr.stages.audit.fidelity import Side, compare_with_members

POOL = np.random.default_rng(0).integers(0, 256, (200, 2, 2, 3), dtype=np.uint8)
MEMBERS = np.arange(0, 200, 2)


def encode(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return images[rows].reshape(len(rows), -1)[:, :4] / 255.0


def of_one_class(images: np.ndarray, rows: np.ndarray) -> Side:
    return images, rows, np.zeros(len(rows), dtype=np.int64)


def compared(synthetic: np.ndarray, holdout: np.ndarray, seed: int = 0, members: np.ndarray = MEMBERS) -> FidelityResult:
    return compare_with_members(
        encode,
        "pixels",
        members=of_one_class(POOL, members),
        synthetic=of_one_class(synthetic, np.arange(len(synthetic))),
        holdout=of_one_class(POOL, holdout),
        seed=seed,
        confidence=0.95,
    )


def values(found: FidelityResult, side: str) -> list[float]:
    scores = dict(getattr(found, side)).values()
    return [score.value for score in scores if isinstance(score, Estimate)]


def test_a_generator_that_samples_the_distribution_scores_like_the_hold_out_and_another_one_worse() -> None:
    fresh = np.random.default_rng(1).integers(0, 256, (300, 2, 2, 3), dtype=np.uint8)
    good, bad = (compared(images, MEMBERS + 1) for images in (fresh, fresh // 2))
    assert (good.features, good.dimensions, good.num_images) == ("pixels", 4, 100)
    for name in type(good.synthetic).model_fields:
        one, other = getattr(good.synthetic, name), getattr(good.holdout, name)
        assert one.low <= other.high, name
        assert other.low <= one.high, name
    assert bad.synthetic.fid.low > bad.holdout.fid.high
    assert bad.synthetic.coverage.high < bad.holdout.coverage.low


def test_all_sides_are_as_large_as_the_smallest_or_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(POOL[:60], MEMBERS[:30] + 1).num_images == 30
    monkeypatch.setattr(fidelity, "MAX_IMAGES", 25)
    limited = compared(POOL[:60], MEMBERS[:30] + 1)
    assert limited.num_images == limited.synthetic.kid.n == limited.holdout.kid.n == 25


def test_the_draw_depends_on_the_seed_alone() -> None:
    one, again, other = (compared(POOL[:60], MEMBERS + 1, seed) for seed in (0, 0, 1))
    assert one == again
    assert values(one, "synthetic") != values(other, "synthetic")


def test_without_hold_out_there_is_no_yardstick_but_the_images_are_measured() -> None:
    found = compared(POOL[:60], np.arange(0))
    assert found.num_images == 60
    assert len(values(found, "synthetic")) == 6
    assert found.holdout.fid == NotMeasurable("fidelity needs 20 images of each side; found 0", 0)


def test_nothing_is_measured_against_too_few_members() -> None:
    found = compared(POOL[:60], MEMBERS + 1, members=MEMBERS[:5])
    assert not values(found, "synthetic")
    assert not values(found, "holdout")


def test_copies_of_members_score_better_than_any_real_image_can() -> None:
    copied = compared(POOL[MEMBERS], MEMBERS + 1)
    assert copied.synthetic.fid.value < 0.01 * copied.holdout.fid.value
    assert copied.synthetic.kid.high < copied.holdout.kid.value
    assert copied.synthetic.precision.value == 1


def test_unequal_shares_of_the_classes_are_no_infidelity() -> None:
    generator = np.random.default_rng(2)

    def side(*counts: int) -> Side:
        """Return images of a dark and a bright class, in random order."""
        labels = generator.permutation(np.repeat([0, 1], counts))
        images = generator.integers(0, 60, (len(labels), 2, 2, 3), dtype=np.uint8) + (120 * labels)[:, None, None, None]
        return images.astype(np.uint8), np.arange(len(labels)), labels

    found = compare_with_members(
        encode, "pixels", members=side(180, 40), synthetic=side(110, 110), holdout=side(180, 40), seed=0, confidence=0.95
    )
    assert found.num_images == 110 + 40
    assert found.synthetic.fid.low <= found.holdout.fid.high
    assert found.synthetic.kid.covers(0)


def test_every_class_has_as_many_images_as_the_side_with_fewest_and_the_limit_keeps_their_shares(monkeypatch) -> None:
    sides = [np.repeat([0, 1, 2], counts) for counts in ((50, 10, 40), (30, 30, 40), (60, 20, 50))]
    assert fidelity._counts_of_all(sides).tolist() == [30, 10, 40]
    monkeypatch.setattr(fidelity, "MAX_IMAGES", 40)
    assert fidelity._counts_of_all(sides).tolist() == [15, 5, 20]
    labels = np.random.default_rng(0).permutation(sides[0])
    drawn = fidelity._draw(np.arange(100, 200), labels, np.array([15, 5, 20]), seed=1)
    assert np.bincount(labels[drawn - 100]).tolist() == [15, 5, 20]
    assert len(set(drawn)) == 40
