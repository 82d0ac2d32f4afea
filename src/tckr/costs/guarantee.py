"""Work of a training under a formal guarantee: its noise, and the number of gradients that it computes."""

from __future__ import annotations

from dataclasses import dataclass

from tckr.config import RunConfig
from tckr.privacy.accountant import Training, divide_budget
from tckr.privacy.mean_images import BATCH, STEPS, fewest_units, refuse_small_classes


@dataclass(frozen=True, kw_only=True)
class PrivateWork:
    """Work of DP-SGD on a set of a given size.

    Attributes:
        noise_multiplier: standard deviation of the noise, divided by the clipping norm.
        steps: number of steps.
        units_per_step: expected number of units in a step.
        gradients: number of gradients, each of one image with one noise sample; the time is proportional to it.
        vote_noise: standard deviation of the noise on each number of votes; None if labels are not votes.
        voted: images that are voted on, which are fewer than `privacy.votes` if fewer are generated; None if labels are not
            votes.
        units_per_teacher: mean number of units that a Teacher learns that votes; None if labels are not votes.
        teacher: training of the Teacher that labels; None if none does.
        central_noise: standard deviation of the noise on the sums that give the mean images of the classes; None without.
        units_per_mean: number of units that a class needs for a mean image; None without them.
    """

    noise_multiplier: float
    steps: int
    units_per_step: int
    gradients: int
    vote_noise: float | None = None
    voted: int | None = None
    units_per_teacher: float | None = None
    teacher: Training | None = None
    central_noise: float | None = None
    units_per_mean: int | None = None


def private_work(config: RunConfig, num_units: int) -> PrivateWork:
    """Return the work of a training on `num_units` units; a run uses their noisy number instead.

    Raises:
        UserError: no noise is enough for the budget, or no class has enough units for a mean image.
    """
    found = divide_budget(config.privacy, num_units, batch_size=config.adapt.batch_size, steps_of=config.adapt.num_steps)
    central, size = found.central.noise_multiplier if found.central else None, config.prepare.image_size
    refuse_small_classes(config.privacy, central, num_units, size)
    voting, steps, per_step = found.votes, found.adapter.steps, expected_per_step(config, num_units)
    return PrivateWork(
        noise_multiplier=found.adapter.noise_multiplier,
        steps=steps,
        units_per_step=per_step,
        gradients=steps * per_step * config.privacy.noise_draws,
        vote_noise=voting.noise if voting else None,
        voted=min(voting.images, config.generate.num_images(num_units)) if voting else None,
        units_per_teacher=num_units / config.privacy.num_teachers if voting else None,
        teacher=found.teacher,
        central_noise=central,
        units_per_mean=None if central is None else fewest_units(central, size),
    )


def expected_per_step(config: RunConfig, num_units: int) -> int:
    """Return the expected number of images of a step of `adapt`: under a guarantee, each unit is in it at most once."""
    return min(config.adapt.batch_size, num_units) if config.privacy.is_on else config.adapt.batch_size


def gradients_of_means(config: RunConfig) -> int:
    """Return how many gradients the training on mean images computes, each of one image with one noise sample."""
    return STEPS * BATCH if config.privacy.central_images else 0
