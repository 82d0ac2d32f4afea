"""Work of a training under a formal guarantee: its noise, and the number of gradients that it computes."""

from __future__ import annotations

from dataclasses import dataclass

from tckr.config import RunConfig
from tckr.privacy.accountant import calibrate


@dataclass(frozen=True, kw_only=True)
class PrivateWork:
    """Work of DP-SGD on a set of a given size.

    Attributes:
        noise_multiplier: standard deviation of the noise, divided by the clipping norm.
        steps: number of steps.
        units_per_step: expected number of units in a step.
        gradients: number of gradients, each of one image with one noise sample; the time is proportional to it.
    """

    noise_multiplier: float
    steps: int
    units_per_step: int
    gradients: int


def private_work(config: RunConfig, num_units: int) -> PrivateWork:
    """Return the work of a training on `num_units` units; a run uses their noisy number instead.

    Raises:
        UserError: no noise is enough for the budget.
    """
    assert config.privacy.epsilon is not None
    per_step, steps = expected_per_step(config, num_units), config.adapt.num_steps(num_units)
    training = calibrate(config.privacy.epsilon, config.privacy.delta, sampling_rate=per_step / num_units, steps=steps)
    return PrivateWork(
        noise_multiplier=training.noise_multiplier,
        steps=steps,
        units_per_step=per_step,
        gradients=steps * per_step * config.privacy.noise_draws,
    )


def expected_per_step(config: RunConfig, num_units: int) -> int:
    """Return the expected number of images of a step of `adapt`: under a guarantee, each unit is in it at most once."""
    return min(config.adapt.batch_size, num_units) if config.privacy.is_on else config.adapt.batch_size
