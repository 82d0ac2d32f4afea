"""From a budget to the mechanism that keeps it: noisy count, sampling rate, noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tckr.artifacts.guarantee import Guarantee
from tckr.data.seeds import derive_seed
from tckr.privacy.accountant import calibrate, count_noise, epsilon_spent
from tckr.stages.adapt.config import PrivateAdaptConfig
from tckr.stages.adapt.private import Mechanism, Units


def promise(config: PrivateAdaptConfig, num_units: int, seed: int, class_names: Sequence[str]) -> Guarantee:
    """Return the guarantee of a training on `num_units` units; it depends on them through a noisy count alone."""
    privacy = config.privacy
    assert privacy.epsilon is not None
    deviation = count_noise(privacy.epsilon, privacy.delta)
    noisy_count = max(config.batch_size, counted(num_units, deviation, seed))
    training = calibrate(
        privacy.epsilon,
        privacy.delta,
        sampling_rate=config.batch_size / noisy_count,
        steps=config.num_steps(noisy_count),
    )
    return Guarantee(
        epsilon=epsilon_spent(training, deviation, privacy.delta),
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
    )


def counted(num_units: int, deviation: float, seed: int) -> int:
    """Return the number of units with Gaussian noise."""
    return round(np.random.default_rng(derive_seed(seed, "adapt", "count")).normal(num_units, deviation))


def mechanism_of(guarantee: Guarantee, units: Units, batch_size: int) -> Mechanism:
    """Return what keeps `guarantee` for these units."""
    return Mechanism(
        units=units,
        sampling_rate=guarantee.sampling_rate,
        noise_multiplier=guarantee.noise_multiplier,
        clip=guarantee.clip,
        expected=batch_size,
        noise_draws=guarantee.noise_draws,
    )
