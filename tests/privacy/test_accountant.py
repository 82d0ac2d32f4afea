"""The accountant agrees with another library, and the noise that it computes keeps the budget."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from opacus.accountants import PRVAccountant
from scipy.stats import norm

from tckr.errors import UserError
from tckr.privacy.accountant import (
    IN_BLOCK,
    LEAST_NOISE,
    TAIL,
    TEACHER_SHARE,
    Training,
    Voting,
    block_of,
    calibrate,
    central_of,
    count_noise,
    divide_budget,
    epsilon_spent,
    gaussian_epsilon,
    gaussian_mu,
    teacher_of,
    voting_of,
)
from tckr.privacy.config import PrivacyConfig

NO_COUNT = 1e6
"""Noise under which the count tells nothing."""

DELTA = IN_BLOCK * 1e-5
"""Share of delta 1e-5 for which noise is calibrated."""


@pytest.mark.parametrize(("noise", "rate", "steps"), [(1.0, 0.05, 300), (0.8, 0.01, 1000), (4.0, 0.5, 100)])
def test_epsilon_is_that_of_opacus(noise: float, rate: float, steps: int) -> None:
    other = PRVAccountant()
    other.history = [(noise, rate, steps)]
    found = epsilon_spent(Training(sampling_rate=rate, steps=steps, noise_multiplier=noise), NO_COUNT, 1e-5)
    assert found == pytest.approx(other.get_epsilon(1e-5), rel=0.01)


def test_one_gaussian_is_its_closed_form() -> None:
    """Balle and Wang 2018: a step that takes everybody is the Gaussian mechanism."""
    found = epsilon_spent(Training(sampling_rate=1.0, steps=1, noise_multiplier=1 / gaussian_mu(2.0, 1e-5)), NO_COUNT, 1e-5)
    assert found == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_the_noise_spends_the_budget_and_no_more(epsilon: float) -> None:
    training = calibrate(epsilon, 1e-5, sampling_rate=0.05, steps=100)
    deviation = count_noise(epsilon, 1e-5)
    assert 0.98 * epsilon < epsilon_spent(training, deviation, DELTA) <= epsilon
    alone = epsilon_spent(training, NO_COUNT, DELTA)
    assert alone < epsilon_spent(training, deviation, DELTA), "the count is paid for"


@pytest.mark.usefixtures("coarse_accounting")
def test_a_budget_that_is_too_large_to_spend_takes_the_least_noise() -> None:
    assert calibrate(50.0, 1e-5, sampling_rate=0.01, steps=1).noise_multiplier == LEAST_NOISE


@pytest.mark.usefixtures("coarse_accounting")
def test_a_budget_that_no_noise_keeps_is_refused_with_the_noises_that_were_tried() -> None:
    with pytest.raises(
        UserError, match=r"no noise multiplier from 0\.2 to 10,000 makes 1 steps .* or raise privacy\.epsilon"
    ):
        calibrate(1.0, 1e-5, sampling_rate=0.01, steps=1, others=[Voting(images=1, noise=0.5)])


def test_count_votes_and_training_add_up_as_gaussians_do() -> None:
    """Without sampling all three are Gaussian mechanisms, whose mu add up in squares (Dong, Roth and Su 2022)."""
    voting = Voting(images=50, noise=20.0)
    assert voting.noise_multiplier == 2.0  # 50 histograms change by sqrt(2) each, together by 10
    found = epsilon_spent(Training(sampling_rate=1.0, steps=9, noise_multiplier=6.0), 4.0, 1e-5, voting)
    mu = math.sqrt(1 / 4**2 + 1 / 2**2 + 9 / 6**2)
    assert gaussian_mu(found, 1e-5) == pytest.approx(mu, rel=2e-3)


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_votes_take_a_quarter_of_the_budget_whatever_their_number(epsilon: float) -> None:
    few, many = (voting_of(PrivacyConfig(epsilon=epsilon, labels="votes", votes=votes)) for votes in (100, 10_000))
    assert few is not None
    assert many is not None
    assert many.noise == pytest.approx(10 * few.noise)
    assert few.noise_multiplier**-2 == pytest.approx(gaussian_mu(epsilon, 1e-5) ** 2 / 4)
    training = calibrate(epsilon, 1e-5, sampling_rate=0.05, steps=100, others=[few])
    deviation = count_noise(epsilon, 1e-5)
    assert 0.98 * epsilon < epsilon_spent(training, deviation, DELTA, few) <= epsilon
    assert epsilon_spent(training, deviation, DELTA) < 0.95 * epsilon, "the votes are paid for"
    assert voting_of(PrivacyConfig(epsilon=epsilon)) is None


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_a_teacher_takes_its_share_of_the_budget_and_the_training_the_rest(epsilon: float) -> None:
    privacy = PrivacyConfig(epsilon=epsilon, labels="teacher", teacher_batch_size=100, teacher_epochs=5)
    teacher = teacher_of(privacy, 1000, 1000)
    assert teacher is not None
    assert (teacher.sampling_rate, teacher.steps) == (0.1, 50)
    alone = epsilon_spent(teacher, NO_COUNT, DELTA)
    assert gaussian_mu(alone, DELTA) == pytest.approx(TEACHER_SHARE * gaussian_mu(epsilon, DELTA), rel=0.02)
    training, deviation = (
        calibrate(epsilon, 1e-5, sampling_rate=0.05, steps=100, others=[teacher]),
        count_noise(epsilon, 1e-5),
    )
    assert 0.98 * epsilon < epsilon_spent(training, deviation, DELTA, teacher) <= epsilon
    assert epsilon_spent(training, deviation, DELTA) < 0.9 * epsilon, "the Teacher is paid for"
    assert teacher_of(PrivacyConfig(epsilon=epsilon), 1000, 1000) is None


def test_mean_images_take_a_fifth_of_mu_and_the_training_the_rest() -> None:
    central = central_of(PrivacyConfig(epsilon=4.0, central_images=True))
    assert central is not None
    assert 1 / central.noise_multiplier == pytest.approx(0.2 * gaussian_mu(4.0, 1e-5))
    training, deviation = calibrate(4.0, 1e-5, sampling_rate=0.05, steps=100, others=[central]), count_noise(4.0, 1e-5)
    assert 0.98 * 4 < epsilon_spent(training, deviation, DELTA, central) <= 4
    assert epsilon_spent(training, deviation, DELTA) < 0.99 * 4, "the means are paid for"
    assert central_of(PrivacyConfig(epsilon=4.0)) is None


def test_a_small_set_is_taken_whole_in_each_step_of_its_teacher() -> None:
    teacher = teacher_of(PrivacyConfig(epsilon=4.0, labels="teacher", teacher_epochs=3), 50, 50)
    assert teacher is not None
    assert (teacher.sampling_rate, teacher.steps) == (1.0, 3)
    assert 3 / teacher.noise_multiplier**2 == pytest.approx((TEACHER_SHARE * gaussian_mu(4.0, DELTA)) ** 2, rel=0.01)


@pytest.mark.parametrize(("num_units", "epsilon"), [(600, 1.0), (647, 1.0), (40, 10.0)])
def test_the_likely_counts_of_a_set_lie_in_at_most_two_blocks(num_units: int, epsilon: float) -> None:
    far = count_noise(epsilon, 1e-5) * norm.isf(TAIL * 1e-5 / 2) + 0.5  # rounded
    counts = range(max(1, math.floor(num_units - far)), math.ceil(num_units + far) + 1)
    blocks = {block_of(count, epsilon, 1e-5) for count in counts}
    assert len(blocks) <= 2
    for count in counts:
        first, last = block_of(count, epsilon, 1e-5)
        assert first <= count <= last


@pytest.mark.usefixtures("coarse_accounting")
@pytest.mark.parametrize(("labels", "central_images"), [("teacher", False), ("prompt", False), ("prompt", True)])
def test_the_noise_of_a_block_is_enough_for_all_its_counts(
    labels: Literal["teacher", "prompt"], central_images: bool
) -> None:
    """Of all counts of a block, the highest rates and the most steps with the noise of any of them keep the budget."""
    epsilon, batch = 1.0, 64
    smaller = {"teacher_batch_size": batch, "teacher_epochs": 2} if labels == "teacher" else {}
    privacy, deviation = (
        PrivacyConfig(epsilon=epsilon, labels=labels, central_images=central_images, **smaller),
        count_noise(epsilon, 1e-5),
    )
    first, last = block_of(600, epsilon, 1e-5)

    def steps_of(units: int) -> int:
        return math.ceil(3 * units / batch)

    def worst(trainings: Sequence[Training]) -> Training:
        (noise,) = {each.noise_multiplier for each in trainings}
        return Training(
            sampling_rate=max(each.sampling_rate for each in trainings),
            steps=max(each.steps for each in trainings),
            noise_multiplier=noise,
        )

    counts = (first, 600, last)
    found = [divide_budget(privacy, count, batch_size=batch, steps_of=steps_of) for count in counts]
    teachers = [each.teacher for each in found if each.teacher]
    others = [*({each.central for each in found} - {None}), *([worst(teachers)] if teachers else [])]
    assert len(others) == (labels == "teacher") + central_images
    adapter = worst([each.adapter for each in found])
    assert 0.98 * epsilon < epsilon_spent(adapter, deviation, DELTA, *others) <= epsilon
    assert [each.adapter.steps for each in found] == list(map(steps_of, counts))
    assert len({each.adapter.sampling_rate for each in found}) == 3
    last_alone = calibrate(epsilon, 1e-5, sampling_rate=batch / last, steps=steps_of(last), others=others)
    assert epsilon_spent(replace(adapter, noise_multiplier=last_alone.noise_multiplier), deviation, DELTA, *others) > epsilon


@pytest.mark.parametrize("mu", [0.05, 0.7, 3.0])
def test_epsilon_of_a_gaussian_is_the_inverse_of_its_mu(mu: float) -> None:
    assert gaussian_mu(gaussian_epsilon(mu, 1e-5), 1e-5) == pytest.approx(mu)
