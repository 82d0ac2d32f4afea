"""Views: what they show follows from (seed, index, view) alone, in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tckr.data.variation import Variation, ViewRecipe
from tckr.data.views import make_views, uniform

ALL = ViewRecipe(num_views=4, seed=3, ranges=Variation(shift=0.1, rotation_degrees=10, scale=0.1, flip=True, jitter=0.2))
IDS = np.array([5, 0, 17, 2**40, 3])


@pytest.fixture
def images():
    return torch.from_numpy(np.random.default_rng(0).random((5, 3, 12, 16), dtype=np.float32))


def only(**ranges):
    """Return a recipe that makes these changes and no other."""
    return ViewRecipe.from_dict({"num_views": 2, **ranges})


def planes(count, height=24, width=32):
    """Return images of brightness `0.5 + 0.01 x + 0.005 y`, in px from the middle."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    plane = 0.5 + 0.01 * (x - (width - 1) / 2) + 0.005 * (y - (height - 1) / 2)
    return torch.from_numpy(np.broadcast_to(plane, (count, 3, height, width)).copy())


def slopes(images):
    """Return the brightness per px along x and y in the middle, where no border is in sight, and the brightness there."""
    middle = images[:, 0, 8:16, 12:20]
    right = (middle[:, :, 1:] - middle[:, :, :-1]).mean(dim=(1, 2))
    down = (middle[:, 1:] - middle[:, :-1]).mean(dim=(1, 2))
    return right.numpy(), down.numpy(), middle.mean(dim=(1, 2)).numpy()


def test_a_view_does_not_depend_on_its_batch(images):
    views = np.array([1, 3, 0, 2, 1])
    together = make_views(images, IDS, views, ALL)
    order = np.array([4, 2, 0, 1, 3])
    torch.testing.assert_close(make_views(images[order], IDS[order], views[order], ALL), together[order])
    for row in range(5):
        alone = make_views(images[row : row + 1], IDS[row : row + 1], views[row : row + 1], ALL)
        torch.testing.assert_close(alone[0], together[row])


def test_view_0_is_the_image_and_the_global_generator_is_not_used(images):
    state = torch.random.get_rng_state()
    assert torch.equal(make_views(images, IDS, np.array([0, 1, 0, 1, 0]), ALL)[::2], images[::2])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_seed_index_and_view_each_make_another_view(images):
    one = images[:1]
    made = [
        make_views(one, np.array([index]), np.array([view]), ViewRecipe(**vars(ALL) | {"seed": seed}))
        for seed, index, view in [(3, 5, 1), (4, 5, 1), (3, 6, 1), (3, 5, 2)]
    ]
    assert all(not torch.allclose(made[0], other, atol=1e-3) for other in made[1:])


def test_random_numbers_are_uniform_and_unrelated():
    draws = uniform(7, np.arange(20_000), np.full(20_000, 1), 3)
    assert ((draws >= 0) & (draws < 1)).all()
    np.testing.assert_allclose(np.quantile(draws, [0.1, 0.5, 0.9], axis=0).T, [[0.1, 0.5, 0.9]] * 3, atol=0.01)
    other = uniform(7, np.arange(20_000), np.full(20_000, 2), 3)
    assert np.abs(np.corrcoef(np.hstack([draws, other, np.roll(draws, 1, axis=0)]).T) - np.eye(9)).max() < 0.03


def test_a_shift_moves_the_image_by_at_most_its_share_of_a_side():
    ids, views = np.arange(400), np.ones(400, dtype=np.int64)
    right, down, brightness = slopes(make_views(planes(400), ids, views, only(shift=0.1)))
    np.testing.assert_allclose(right, 0.01, atol=1e-5)
    np.testing.assert_allclose(down, 0.005, atol=1e-5)
    most = 0.1 * (0.01 * 32 + 0.005 * 24)  # both shifts at their largest
    assert 0.8 * most < np.abs(brightness - 0.5).max() < most


def test_a_rotation_turns_by_its_angle_whatever_the_shape():
    ids, views = np.arange(400), np.ones(400, dtype=np.int64)
    right, down, brightness = slopes(make_views(planes(400), ids, views, only(rotation_degrees=20)))
    np.testing.assert_allclose(np.hypot(right, down), np.hypot(0.01, 0.005), rtol=1e-3)
    np.testing.assert_allclose(brightness, 0.5, atol=1e-5)
    turned = np.degrees(np.arctan2(down, right) - np.arctan2(0.005, 0.01))
    assert 18 < turned.max() < 20
    assert -20 < turned.min() < -18


def test_a_scale_enlarges_or_shrinks():
    ids, views = np.arange(400), np.ones(400, dtype=np.int64)
    right, down, _ = slopes(make_views(planes(400), ids, views, only(scale=0.2)))
    np.testing.assert_allclose(down / right, 0.5, rtol=1e-3)
    assert 0.8 < (0.01 / right).min() < 0.82
    assert 1.18 < (0.01 / right).max() < 1.2


def test_half_of_the_views_are_mirrored_and_nothing_else(images):
    many = images[:1].expand(400, -1, -1, -1)
    made = make_views(many, np.arange(400), np.ones(400, dtype=np.int64), only(flip=True))
    mirrored = (made - many.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-5
    same = (made - many).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert (mirrored ^ same).all()
    assert 160 < int(mirrored.sum()) < 240


def test_jitter_changes_brightness_and_contrast_within_its_range():
    grey = torch.full((300, 3, 4, 4), 0.5)
    grey[:, :, :2] = 0.3
    grey[:, :, 2:] = 0.5
    made = make_views(grey, np.arange(300), np.ones(300, dtype=np.int64), only(jitter=0.2))
    brightness = made.mean(dim=(1, 2, 3)) / 0.4
    contrast = (made[:, 0, 3, 0] - made[:, 0, 0, 0]) / 0.2 / brightness
    for factor in (brightness, contrast):
        assert 0.8 <= float(factor.min()) < 0.82
        assert 1.18 < float(factor.max()) <= 1.2
