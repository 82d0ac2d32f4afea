"""Compute the mechanism that keeps a privacy budget: noisy count, sampling rate and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from tckr.artifacts.guarantee import Guarantee, TeacherInputs, VotesInputs
from tckr.data.seeds import derive_seed
from tckr.privacy.accountant import count_noise, divide_budget
from tckr.privacy.units import Units
from tckr.stages.adapt.config import PrivateAdaptConfig
from tckr.stages.adapt.private import Mechanism


def promise(config: PrivateAdaptConfig, num_units: int, seed: int, class_names: Sequence[str]) -> Guarantee:
    """Return the guarantee of a training on `num_units` units. It depends on the units only through their noisy count."""
    privacy = config.privacy
    assert privacy.epsilon is not None
    deviation = count_noise(privacy.epsilon, privacy.delta)
    noisy_count = max(1, counted(num_units, deviation, seed))
    found = divide_budget(privacy, noisy_count, batch_size=config.batch_size, steps_of=config.num_steps)
    return Guarantee(
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        unit=privacy.unit,
        noise_multiplier=found.adapter.noise_multiplier,
        sampling_rate=found.adapter.sampling_rate,
        steps=found.adapter.steps,
        clip=config.max_gradient_norm,
        count_noise=deviation,
        noisy_count=noisy_count,
        noise_draws=privacy.noise_draws,
        class_names=list(class_names),
        central_noise=found.central and found.central.noise_multiplier,
        votes=found.votes and VotesInputs(images=found.votes.images, teachers=privacy.num_teachers, noise=found.votes.noise),
        teacher=found.teacher and TeacherInputs(**asdict(found.teacher), clip=privacy.teacher_clip),
    )


def counted(num_units: int, deviation: float, seed: int) -> int:
    """Return the number of units with Gaussian noise."""
    return round(np.random.default_rng(derive_seed(seed, "adapt", "count")).normal(num_units, deviation))


def mechanism_of(guarantee: Guarantee, units: Units) -> Mechanism:
    """Return the sampling and noise that keep `guarantee` for these units."""
    return Mechanism(
        units=units,
        sampling_rate=guarantee.sampling_rate,
        noise_multiplier=guarantee.noise_multiplier,
        clip=guarantee.clip,
        expected=guarantee.sampling_rate * guarantee.noisy_count,
        noise_draws=guarantee.noise_draws,
        central_noise=guarantee.central_noise,
    )
