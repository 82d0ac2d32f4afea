"""Random choices derive from (seed, step), and every image is used once per epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tckr.stages.adapt.draws import Draws, draw_step, rows_of_step


def draw(seed: int = 0, step: int = 0, **changes: object) -> Draws:
    settings = {
        "num_images": 10,
        "num_drawn": 4000,
        "latent_shape": (1, 1, 1),
        "num_timesteps": 100,
        "flip": True,
        "caption_dropout": 0.25,
    }
    return draw_step(seed, step, **(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 3, 7, 25])
def test_every_image_once_per_epoch(batch: int) -> None:
    rows = np.concatenate([rows_of_step(5, step, num_images=10, num_drawn=batch) for step in range(-(-30 // batch))])
    epochs = rows[:30].reshape(3, 10)
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert not np.array_equal(epochs[0], epochs[1])


def test_choices_follow_from_seed_and_step() -> None:
    first, again, next_step, other_seed = draw(), draw(), draw(step=1), draw(seed=1)
    assert torch.equal(first.noise, again.noise)
    assert np.array_equal(first.rows, again.rows)
    assert not torch.equal(first.noise, next_step.noise)
    assert not torch.equal(first.noise, other_seed.noise)
    assert not torch.equal(first.noise, first.posterior_noise)


def test_shares_are_the_requested_ones() -> None:
    draws = draw()
    assert abs(draws.mirrored.mean() - 0.5) < 0.04  # five standard errors of 4000 samples
    assert abs(draws.unprompted.mean() - 0.25) < 0.04
    assert draws.timesteps.min() == 0
    assert draws.timesteps.max() == 99
    assert abs(draws.noise.std().item() - 1) < 0.06
    assert not draw(flip=False).mirrored.any()
    assert not draw(caption_dropout=0.0).unprompted.any()
    assert draw(caption_dropout=1.0).unprompted.all()


def test_a_share_keeps_choices_together() -> None:
    whole = draw(num_drawn=6)
    part = whole.take(slice(2, 4))
    assert np.array_equal(part.rows, whole.rows[2:4])
    assert torch.equal(part.noise, whole.noise[2:4])
