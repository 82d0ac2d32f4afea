"""What a formal guarantee says, with every input of the accountant; part of `adapter.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from tckr.strict import STRICT


class Guarantee(BaseModel):
    """(epsilon, delta) differential privacy of the adapter and the noisy count, under adding or removing one unit.

    Attributes:
        epsilon: that the accountant finds for all of it; at most the budget.
        delta: chance that the bound does not hold.
        unit: what is added or removed.
        noise_multiplier: standard deviation of the training's noise over `clip`.
        sampling_rate: chance of each unit to be in a step.
        steps: of the training.
        clip: largest norm of a unit's gradient.
        count_noise: standard deviation of the noise added to the number of units.
        noisy_count: that number with its noise: the only number of units that anything released depends on.
        class_names: index = label; declared public, and all that prompts are made of.
        noise_draws: noise levels and noises per image, whose mean gradient is clipped.
    """

    model_config = STRICT

    epsilon: float
    delta: float
    unit: Literal["record", "group"]
    noise_multiplier: float
    sampling_rate: float
    steps: int
    clip: float
    count_noise: float
    noisy_count: int
    noise_draws: int
    class_names: list[str]
