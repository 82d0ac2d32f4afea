"""AugMix: every operation equals Pillow's, every image has its own chains, and the result is a mixture."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from tckr.data import augmix as module
from tckr.data.augmix import COLOURS, GEOMETRY, augmix, draw_chains, geometry_matrices, resample

SIZE = 24
PILLOW = {
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalize": lambda image, strength: ImageOps.equalize(image),
    "posterize": lambda image, strength: ImageOps.posterize(image, 4 - int(strength * 4)),
    "solarize": lambda image, strength: ImageOps.solarize(image, 256 - int(strength * 256)),
}


def pictures(count=6):
    """Return smooth images of limited contrast, one that has a single colour, and one of two colours."""
    random = np.random.default_rng(0)
    small = random.integers(30, 220, (count, 5, 5, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for image in small]
    large[0] = np.full_like(large[0], 77)
    large[1] = np.where(large[1] > 128, 200, 10).astype(np.uint8)
    return np.stack(large)


def as_tensor(images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("function", COLOURS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("strength", [0.01, 0.3, 0.9])
def test_operations_on_colours_are_pillows(function, strength):
    images = pictures()
    found = function(as_tensor(images), torch.full((len(images), 1, 1, 1), strength))
    expected = [np.asarray(PILLOW[function.__name__](Image.fromarray(image), strength)) for image in images]
    difference = (found - as_tensor(expected)).abs()
    assert difference.max() <= (1 if function.__name__ == "autocontrast" else 0)  # a quotient that is nearly an integer
    assert difference.mean() < 0.01


@pytest.mark.parametrize("operation", range(len(GEOMETRY)))
@pytest.mark.parametrize("signed", [-0.7, 0.25])
def test_operations_on_places_are_pillows(operation, signed):
    images = pictures()
    half, amount = SIZE / 2, signed * GEOMETRY[operation][2]
    cosine, sine = np.cos(amount), np.sin(amount)
    matrix = [
        (cosine, -sine, half - half * cosine + half * sine, sine, cosine, half - half * sine - half * cosine),
        (1, amount, -amount * half, 0, 1, 0),
        (1, 0, 0, amount, 1, -amount * half),
        (1, 0, amount * half, 0, 1, 0),
        (1, 0, 0, 0, 1, amount * half),
    ][operation]
    matrices = geometry_matrices(torch.full((len(images),), operation), torch.full((len(images),), signed))
    found = resample(as_tensor(images), matrices)
    settings = {"method": Image.Transform.AFFINE, "data": matrix, "resample": Image.Resampling.BILINEAR}
    expected = [np.asarray(Image.fromarray(image).transform((SIZE, SIZE), **settings)) for image in images]
    assert (found - as_tensor(expected)).abs().max() <= 1  # Pillow rounds its coefficients
    assert found.min() == 0, "something came from outside"


def test_chains_have_one_to_three_operations_of_all_kinds_within_the_severity():
    chains = draw_chains(2000, 3.0, generator())
    lengths = (chains.operations >= 0).sum(dim=0)
    assert lengths.unique().tolist() == [1, 2, 3]
    assert (chains.operations[0] >= 0).all()
    assert chains.operations.unique().tolist() == list(range(-1, len(COLOURS) + len(GEOMETRY)))
    assert torch.allclose(chains.weights.sum(dim=0), torch.ones(2000))
    assert abs(chains.weights.var(dim=1).mean() - 1 / 18) < 0.003  # of Dirichlet(1, 1, 1)
    assert (chains.strength.min() >= 0.01, chains.strength.max() <= 0.3) == (True, True)
    assert abs(chains.share.mean() - 0.5) < 0.02


def test_images_are_mixed_in_the_sampled_shares(monkeypatch):
    black = ((lambda pixels, strength: pixels * 0),) * len(COLOURS)
    monkeypatch.setattr(module, "COLOURS", black)
    monkeypatch.setattr(module, "resample", lambda pixels, matrices: pixels * 0)
    chains = draw_chains(8, 3.0, generator())
    mixed = augmix(torch.ones(8, 3, 4, 4), 3.0, generator())
    assert torch.allclose(mixed[:, 0, 0, 0], 1 - chains.share, atol=1e-6)


def test_mixtures_stay_images_and_differ_from_image_to_image():
    images = as_tensor(pictures(2)[1:].repeat(64, axis=0)) / 255
    mixed = augmix(images, 3.0, generator())
    assert (mixed.min() >= 0, mixed.max() <= 1 + 1e-6) == (True, True)
    assert len(mixed.flatten(1).unique(dim=0)) == 64
    assert 0.01 < (mixed - images).abs().mean() < 0.3
