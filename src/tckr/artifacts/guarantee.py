"""A formal guarantee with every input of the accountant (in `adapter.json`), and the result of canaries that test it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from tckr.metrics.estimate import NotMeasurable
from tckr.metrics.results import OneRunBound, Result
from tckr.strict import STRICT

SPENT_AGAIN = (
    "computing it again samples new noise, so it spends the budget again: add both epsilons, and both deltas "
    "(docs/guarantee.md)"
)


class VotesInputs(BaseModel):
    """Labels by noisy votes.

    Attributes:
        images: number of images that are voted on, at most.
        teachers: number of Teachers, each trained on its own part of the units.
        noise: standard deviation of the noise on the number of votes for each class of each image.
    """

    model_config = STRICT

    images: int
    teachers: int
    noise: float


class TeacherInputs(BaseModel):
    """Labels of a Teacher that is trained by DP-SGD.

    Attributes:
        noise_multiplier: standard deviation of the noise divided by `clip`.
        sampling_rate: probability that a unit is in a step.
        steps: training steps.
        clip: maximum norm of a unit's gradient.
    """

    model_config = STRICT

    noise_multiplier: float
    sampling_rate: float
    steps: int
    clip: float


class Guarantee(BaseModel):
    """(epsilon, delta) differential privacy of adapter, noisy count and labels, under adding or removing one unit.

    Attributes:
        epsilon: proven bound: the budget.
        delta: what is added to e^epsilon times the chance of a release.
        unit: what is added or removed, a record or a group.
        noise_multiplier: standard deviation of the training's noise, divided by `clip`.
        sampling_rate: probability that a unit is in a step.
        steps: training steps.
        clip: maximum norm of a unit's gradient.
        count_noise: standard deviation of the noise added to the number of units.
        noisy_count: number of units with noise; released parts depend on no other number of units.
        class_names: index = label; declared public, and the only content of prompts.
        noise_draws: noise levels and noise samples per image, whose mean gradient is clipped.
        central_noise: standard deviation of the noise on the sums from which the mean images of the classes are computed,
            divided by the most that a unit adds to them; None if there are none.
        votes: votes that label images; None if none do.
        teacher: training of the Teacher that labels images; None if none does. Without both, labels are the classes of the
            prompts.
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
    central_noise: float | None = None
    votes: VotesInputs | None = None
    teacher: TeacherInputs | None = None

    @property
    def labels_are_prompts(self) -> bool:
        """Return whether labels are the classes of the prompts, so that no private image has an influence on them."""
        return self.votes is None and self.teacher is None


class Refutation(Result):
    """What canaries refute of a guarantee; part of `audit.json`."""

    claimed: Guarantee
    bound: OneRunBound | NotMeasurable = Field(
        description="The largest on anything that the guarantee covers. All of them hold together at `confidence`, so each "
        "alone is at a higher one."
    )
    refuted: bool = Field(
        False, description="Whether the bound is above the claimed epsilon: the guarantee is proven wrong."
    )
    surface: str = Field("", description="Where the bound was found.")
    canaries: str = Field("", description="Kind of the canaries.")
    most: float = Field(0.0, description="Epsilon that would be refuted if all guesses were right: no attack can show more.")
    confidence: float | None = Field(None, description="A guarantee that holds is refuted at most this seldom, as 1 - it.")
