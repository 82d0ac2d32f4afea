"""The denoising loss of a record: closed forms, noise that follows from record and draw alone, and real generators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tckr.data.transforms import to_device
from tckr.membership.queries.denoising import denoising_losses
from tckr.models.diffusion.generator import Conditioning
from tckr.models.diffusion.load import load_generator
from tests.membership.artifacts import noise_images, overfit
from tests.tiny_models import ARRAY_WARNING, fresh_generator

pytestmark = pytest.mark.filterwarnings(ARRAY_WARNING)
IMAGES = noise_images(0, 7)
PROMPTS = ["a", "bb", "ccc", "dddd", "e" * 5, "f" * 6, "g" * 7]

Loss = Callable[[torch.Tensor, Conditioning, torch.Tensor, torch.Tensor], torch.Tensor]


class Plain:
    """A generator whose latents are the top left pixels, whose embedding of a prompt is its length, and any given loss."""

    size_multiple, largest_size, num_timesteps = 1, None, 100

    def __init__(self, loss: Loss, side: int = 2) -> None:
        self.training_loss = loss
        self.side = side

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        return {"length": torch.tensor([float(len(prompt)) for prompt in prompts])}

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        means = images[:, :, : self.side, : self.side]
        return torch.cat([means, torch.full_like(means, 1e6)], dim=1)


def losses(loss: Loss, *, num_draws: int = 4, batch_size: int = 3, side: int = 2, count: int = 7) -> np.ndarray:
    generator = Plain(loss, side)
    return denoising_losses(generator, IMAGES[:count], PROMPTS[:count], num_draws=num_draws, batch_size=batch_size)  # type: ignore[arg-type]


def first(noise: torch.Tensor) -> torch.Tensor:
    return noise[:, 0, 0, 0]


def test_levels_are_the_middles_of_equal_stretches_and_the_loss_is_their_mean() -> None:
    met: list[int] = []

    def squared_level(latents: torch.Tensor, told: Conditioning, noise: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        met.extend(level.tolist())
        return level.float().square()

    found = losses(squared_level, count=2)
    assert met == [12, 12, 37, 37, 62, 62, 87, 87]
    assert found.dtype == np.float64
    assert found.tolist() == [(12**2 + 37**2 + 62**2 + 87**2) / 4] * 2
    assert losses(squared_level, num_draws=1, count=1).tolist() == [50.0**2]


def test_each_record_is_denoised_from_the_mean_of_its_own_latents_under_its_own_prompt() -> None:
    expected = IMAGES[:, :2, :2].mean(axis=(1, 2, 3)) / 255 + 10 * np.arange(1, 8)
    found = losses(lambda latents, told, noise, level: latents.mean(dim=(1, 2, 3)) + 10 * told["length"])
    assert found == pytest.approx(expected, rel=1e-6)


def test_noise_follows_from_record_and_draw_whatever_the_batch_and_the_generator() -> None:
    found = [losses(lambda latents, told, noise, level: first(noise), batch_size=size) for size in (1, 3, 7, 20)]
    assert all(np.array_equal(found[0], other) for other in found[1:])
    shifted = losses(lambda latents, told, noise, level: first(noise) + level + told["length"])
    assert shifted - found[0] == pytest.approx(np.mean([12, 37, 62, 87]) + np.arange(1, 8), abs=1e-5)
    assert np.array_equal(losses(lambda latents, told, noise, level: first(noise), count=4), found[0][:4])


def test_no_two_records_and_no_two_noise_levels_have_the_same_noise() -> None:
    met: list[float] = []

    def keep(latents: torch.Tensor, told: Conditioning, noise: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        met.extend(first(noise).tolist())
        return first(noise)

    losses(keep)
    assert len(met) == len(set(met)) == 7 * 4


def test_noise_is_standard_normal() -> None:
    def mean(power: int) -> float:
        return losses(lambda latents, told, noise, level: (noise**power).mean(dim=(1, 2, 3)), side=16, num_draws=8).mean()

    numbers = 7 * 8 * 3 * 16 * 16
    assert mean(1) == pytest.approx(0, abs=4 / numbers**0.5)
    assert mean(2) == pytest.approx(1, abs=4 * (2 / numbers) ** 0.5)


def test_progress_counts_every_record_at_every_level() -> None:
    told: list[int] = []
    generator = Plain(lambda latents, told, noise, level: first(noise))
    denoising_losses(generator, IMAGES, PROMPTS, num_draws=5, batch_size=3, advance=told.append)  # type: ignore[arg-type]
    assert sum(told) == 7 * 5


def test_loss_of_a_real_generator_is_its_training_loss_and_no_matter_of_batches(tiny_generator: Path) -> None:
    generator = fresh_generator(tiny_generator)
    expected = np.zeros(7)
    with torch.no_grad():
        means = generator.encode_images(to_device(IMAGES, "cpu"))[:, :4]
        told = generator.encode_prompts(PROMPTS)
        for level in (25, 75):
            noise = torch.from_numpy(_noise_met_at(level))
            expected += generator.training_loss(means, told, noise, torch.full((7,), level)).numpy() / 2
    for size in (1, 3, 7):
        found = denoising_losses(generator, IMAGES, PROMPTS, num_draws=2, batch_size=size)
        assert found == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected) > 1e-3  # records differ: the comparison says something


def _noise_met_at(level: int) -> np.ndarray:
    """Return float32 [7, 4, 8, 8], as a generator with latents of that shape meets it."""
    met = []

    class Latent(Plain):
        def encode_images(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(images), 8, 8, 8)

    def keep(latents: torch.Tensor, told: Conditioning, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        if int(timesteps[0]) == level:
            met.append(noise.numpy())
        return first(noise)

    denoising_losses(Latent(keep), IMAGES, PROMPTS, num_draws=2, batch_size=2)  # type: ignore[arg-type]
    return np.concatenate(met)


def test_records_learned_by_heart_lose_more_than_all_others(loud_generator: Path, tmp_path: Path) -> None:
    images, prompts = noise_images(1, 12), [f"mark {record}" for record in range(12)]
    rows = [2, 5, 11] * 3
    overfit(loud_generator, tmp_path, images[rows], [prompts[row] for row in rows], steps=40, levels=range(0, 100, 5))
    base, learned = (
        denoising_losses(load_generator(str(folder), "cpu"), images, prompts, num_draws=4, batch_size=12)
        for folder in (loud_generator, tmp_path)
    )
    known = np.isin(np.arange(12), rows)
    for signal in (-learned, base - learned):
        assert signal[known].min() > signal[~known].max()
