"""Augmentation changes images as configured, and nothing without settings; equal random numbers give equal images."""

import numpy as np
import pytest
import torch
from kornia.augmentation import RandomAffine

from tckr.data.transforms import make_augmentation, mixup, to_device
from tckr.data.variation import Variation


def changes(crop=0.0, augmix_severity=0.0, **ranges):
    """Return an augmentation that makes these changes and no other."""
    return make_augmentation(Variation.none().model_copy(update=ranges), crop=crop, augmix_severity=augmix_severity)


EVERYTHING = {
    "shift": 0.1,
    "rotation_degrees": 9.0,
    "scale": 0.1,
    "flip": True,
    "crop": 0.1,
    "augmix_severity": 3.0,
    "jitter": 0.2,
}


def seeded(function, *arguments):
    return function(*arguments, torch.Generator().manual_seed(0))


def spot(row, column, size=20):
    images = torch.zeros(64, 3, size, size)
    images[:, :, row, column] = 1
    return images


def test_pixels_are_scaled_to_one_and_colours_come_first():
    pixels = np.zeros((2, 4, 5, 3), dtype=np.uint8)
    pixels[1, 2, 3] = (255, 51, 0)
    pixels.flags.writeable = False  # as a memory map is
    images = to_device(pixels, "cpu")
    assert images.shape == (2, 3, 4, 5)
    assert images[1, :, 2, 3].tolist() == pytest.approx([1.0, 0.2, 0.0])


def test_nothing_is_the_identity():
    images = torch.rand(4, 3, 8, 8)
    assert torch.equal(seeded(changes(), images), images)


def test_random_changes_follow_from_the_generator_alone():
    images, state = torch.rand(8, 3, 12, 10), torch.get_rng_state()
    one, same = (seeded(changes(**EVERYTHING), images) for _ in range(2))
    other = changes(**EVERYTHING)(images, torch.Generator().manual_seed(1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert one.shape == images.shape
    assert one.min() >= 0
    assert one.max() <= 1


def test_affine_parameters_and_pixels_are_those_of_kornia():
    images = torch.rand(16, 3, 20, 24)
    ours = seeded(changes(shift=0.2, rotation_degrees=30.0, scale=0.3), images)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kornia = RandomAffine(degrees=30.0, translate=(0.2, 0.2), scale=(0.7, 1.3), padding_mode="border", p=1.0)
        assert torch.equal(ours, kornia(images))


def test_a_padded_crop_moves_by_integer_pixels_as_far_as_the_border_is_wide():
    images = torch.rand(200, 3, 20, 10) + 0.1
    cropped = seeded(changes(crop=0.1), images)
    framed = torch.nn.functional.pad(images, (1, 1, 2, 2))
    places = [(top, left) for top in range(5) for left in range(3)]
    found = [
        {place for place in places if torch.equal(crop, frame[:, place[0] : place[0] + 20, place[1] : place[1] + 10])}
        for crop, frame in zip(cropped, framed, strict=True)
    ]
    assert all(len(matches) == 1 for matches in found)
    assert set.union(*found) == set(places)


def test_shift_moves_every_image_by_its_own_amount_within_the_bound():
    moved = seeded(changes(shift=0.1), spot(10, 10))
    mass = moved.sum(dim=(1, 3))
    rows = (mass * torch.arange(20)).sum(dim=1) / mass.sum(dim=1)
    assert (rows - 10).abs().max() <= 2 + 1e-3
    assert rows.std() > 0.5


def test_flip_mirrors_about_half_of_the_images():
    flipped = seeded(changes(flip=True), spot(5, 2))
    mirrored = flipped[:, 0, 5, 17] == 1
    assert ((flipped[:, 0, 5, 2] == 1) ^ mirrored).all()
    assert 16 <= int(mirrored.sum()) <= 48


def test_jitter_stays_in_the_unit_interval():
    images = torch.full((16, 3, 4, 4), 0.95)
    changed = seeded(changes(jitter=0.3), images)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed.mean(dim=(1, 2, 3)).std() > 0.01


def test_rotation_turns_about_the_centre():
    turned = seeded(changes(rotation_degrees=90.0), torch.ones(8, 3, 9, 9))
    assert torch.allclose(turned, torch.ones(8, 3, 9, 9), atol=1e-5)  # border pixels are repeated, not black


def test_mixup_blends_images_and_targets_with_the_same_weight():
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 2, 2)
    mixed, targets = seeded(mixup, images, torch.eye(6), 1.0)
    assert torch.allclose(targets.sum(dim=1), torch.ones(6))
    assert torch.allclose(mixed[:, 0, 0, 0], targets @ torch.arange(6.0), atol=1e-5)
