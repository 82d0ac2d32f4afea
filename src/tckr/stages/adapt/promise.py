"""Compute the mechanism that keeps a privacy budget: noisy count, sampling rate and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from tckr.artifacts.guarantee import Guarantee, TeacherInputs, VotesInputs
from tckr.data.seeds import derive_seed
from tckr.privacy.accountant import calibrate, count_noise, epsilon_spent, teacher_of, voting_of
from tckr.privacy.units import Units
from tckr.stages.adapt.config import PrivateAdaptConfig
from tckr.stages.adapt.private import Mechanism


def promise(config: PrivateAdaptConfig, num_units: int, seed: int, class_names: Sequence[str]) -> Guarantee:
    """Return the guarantee of a training on `num_units` units. It depends on the units only through their noisy count."""
    privacy = config.privacy
    assert privacy.epsilon is not None
    deviation, voting = count_noise(privacy.epsilon, privacy.delta), voting_of(privacy)
    noisy_count = max(1, counted(num_units, deviation, seed))
    teacher = teacher_of(privacy, noisy_count)
    training = calibrate(
        privacy.epsilon,
        privacy.delta,
        sampling_rate=min(1.0, config.batch_size / noisy_count),
        steps=config.num_steps(noisy_count),
        labels=voting or teacher,
    )
    return Guarantee(
        epsilon=epsilon_spent(training, deviation, privacy.delta, voting or teacher),
        delta=privacy.delta,
        unit=privacy.unit,
        noise_multiplier=training.noise_multiplier,
        sampling_rate=training.sampling_rate,
        steps=training.steps,
        clip=config.max_gradient_norm,
        count_noise=deviation,
        noisy_count=noisy_count,
        noise_draws=privacy.noise_draws,
        class_names=list(class_names),
        votes=voting and VotesInputs(images=voting.images, teachers=privacy.num_teachers, noise=voting.noise),
        teacher=teacher and TeacherInputs(**asdict(teacher), clip=privacy.teacher_clip),
    )


def counted(num_units: int, deviation: float, seed: int) -> int:
    """Return the number of units with Gaussian noise."""
    return round(np.random.default_rng(derive_seed(seed, "adapt", "count")).normal(num_units, deviation))


def describe_large_delta(guarantee: Guarantee) -> str:
    """Return a warning if delta is not below 1 / number of units; else an empty text. Only the noisy number is used."""
    most = 1 / guarantee.noisy_count
    if guarantee.delta < most:
        return ""
    return (
        f"privacy.delta={guarantee.delta:g} is not below 1 / number of {guarantee.unit}s, which is about {most:.2g}: a "
        "program that publishes each of them with probability delta would also have this guarantee. Set "
        f"privacy.delta={most / 10:.0e} or less"
    )


def mechanism_of(guarantee: Guarantee, units: Units) -> Mechanism:
    """Return the sampling and noise that keep `guarantee` for these units."""
    return Mechanism(
        units=units,
        sampling_rate=guarantee.sampling_rate,
        noise_multiplier=guarantee.noise_multiplier,
        clip=guarantee.clip,
        expected=guarantee.sampling_rate * guarantee.noisy_count,
        noise_draws=guarantee.noise_draws,
    )
