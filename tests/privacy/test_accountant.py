"""The accountant agrees with another library, and the noise that it computes keeps the budget."""

import math
from collections.abc import Sequence
from typing import Literal

import pytest
from opacus.accountants import PRVAccountant
from scipy.stats import norm

from tckr.errors import UserError
from tckr.privacy.accountant import (
    LEAST_NOISE,
    TAIL,
    TEACHER_SHARE,
    Training,
    Voting,
    calibrate,
    count_noise,
    divide_budget,
    epsilon_spent,
    gaussian_epsilon,
    gaussian_mu,
    likely_counts,
    teacher_of,
    voting_of,
)
from tckr.privacy.config import PrivacyConfig

NO_COUNT = 1e6
"""Noise under which the count tells nothing."""


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
    assert 0.98 * epsilon < epsilon_spent(training, deviation, 1e-5) <= epsilon
    alone = epsilon_spent(training, NO_COUNT, 1e-5)
    assert alone < epsilon_spent(training, deviation, 1e-5), "the count is paid for"


def test_a_budget_that_is_too_large_to_spend_takes_the_least_noise() -> None:
    assert calibrate(50.0, 1e-5, sampling_rate=0.01, steps=1).noise_multiplier == LEAST_NOISE


def test_a_budget_that_no_noise_keeps_is_refused_with_the_noises_that_were_tried() -> None:
    with pytest.raises(
        UserError, match=r"no noise multiplier from 0\.2 to 10,000 makes 1 steps .* or raise privacy\.epsilon"
    ):
        calibrate(1.0, 1e-5, sampling_rate=0.01, steps=1, labels=Voting(images=1, noise=0.5))


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
    training = calibrate(epsilon, 1e-5, sampling_rate=0.05, steps=100, labels=few)
    deviation = count_noise(epsilon, 1e-5)
    assert 0.98 * epsilon < epsilon_spent(training, deviation, 1e-5, few) <= epsilon
    assert epsilon_spent(training, deviation, 1e-5) < 0.95 * epsilon, "the votes are paid for"
    assert voting_of(PrivacyConfig(epsilon=epsilon)) is None


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_a_teacher_takes_its_share_of_the_budget_and_the_training_the_rest(epsilon: float) -> None:
    privacy = PrivacyConfig(epsilon=epsilon, labels="teacher", teacher_batch_size=100, teacher_epochs=5)
    teacher = teacher_of(privacy, 1000, 1000)
    assert teacher is not None
    assert (teacher.sampling_rate, teacher.steps) == (0.1, 50)
    alone = epsilon_spent(teacher, NO_COUNT, 1e-5)
    assert gaussian_mu(alone, 1e-5) == pytest.approx(TEACHER_SHARE * gaussian_mu(epsilon, 1e-5), rel=0.02)
    training, deviation = calibrate(epsilon, 1e-5, sampling_rate=0.05, steps=100, labels=teacher), count_noise(epsilon, 1e-5)
    assert 0.98 * epsilon < epsilon_spent(training, deviation, 1e-5, teacher) <= epsilon
    assert epsilon_spent(training, deviation, 1e-5) < 0.9 * epsilon, "the Teacher is paid for"
    assert teacher_of(PrivacyConfig(epsilon=epsilon), 1000, 1000) is None


def test_a_small_set_is_taken_whole_in_each_step_of_its_teacher() -> None:
    teacher = teacher_of(PrivacyConfig(epsilon=4.0, labels="teacher", teacher_epochs=3), 50, 50)
    assert teacher is not None
    assert (teacher.sampling_rate, teacher.steps) == (1.0, 3)
    assert 3 / teacher.noise_multiplier**2 == pytest.approx((TEACHER_SHARE * gaussian_mu(4.0, 1e-5)) ** 2, rel=0.01)


@pytest.mark.parametrize(("num_units", "epsilon"), [(600, 1.0), (40, 10.0)])
def test_the_range_of_counts_has_every_likely_count_of_the_set(num_units: int, epsilon: float) -> None:
    deviation, delta = count_noise(epsilon, 1e-5), 1e-5
    far = deviation * norm.isf(TAIL * delta / 2) + 0.5  # rounded
    assert norm.sf(far / deviation) * 2 < TAIL * delta
    for noisy in (num_units - far, num_units, num_units + far):
        fewest, most = likely_counts(max(1, round(noisy)), epsilon, delta)
        assert fewest <= max(1, num_units - far)
        assert most >= num_units + far


@pytest.mark.usefixtures("coarse_accounting")
@pytest.mark.parametrize("labels", ["teacher", "prompt"])
def test_the_worst_of_all_likely_counts_keeps_the_budget(labels: Literal["teacher", "prompt"]) -> None:
    """Highest rate, most steps and least noise among the counts of one set: more than any of them spends."""
    num_units, epsilon, batch, delta = 600, 1.0, 64, (1 - TAIL) * 1e-5
    deviation = count_noise(epsilon, 1e-5)
    privacy = PrivacyConfig(epsilon=epsilon, labels=labels)
    far = round(deviation * norm.isf(TAIL * 1e-5 / 2))
    counts = [num_units - far, num_units, num_units + far]

    def steps_of(units: int) -> int:
        return math.ceil(3 * units / batch)

    def worst(trainings: Sequence[Training]) -> Training:
        return Training(
            sampling_rate=max(each.sampling_rate for each in trainings),
            steps=max(each.steps for each in trainings),
            noise_multiplier=min(each.noise_multiplier for each in trainings),
        )

    found = [divide_budget(privacy, count, batch_size=batch, steps_of=steps_of) for count in counts]
    teachers = [each.teacher for each in found if each.teacher]
    assert len(teachers) == 3 * (labels == "teacher")
    adapter, teacher = worst([each.adapter for each in found]), worst(teachers) if teachers else None
    assert epsilon_spent(adapter, deviation, delta, teacher) <= epsilon == found[0].epsilon
    assert [each.adapter.steps for each in found] == list(map(steps_of, counts))
    if not teachers:  # the noise of each count alone would not be enough
        alone = [calibrate(epsilon, 1e-5, sampling_rate=batch / count, steps=steps_of(count)) for count in counts]
        assert epsilon_spent(worst(alone), deviation, delta) > 1.05 * epsilon


def test_a_budget_that_cannot_be_spent_states_the_smaller_epsilon() -> None:
    found = divide_budget(PrivacyConfig(epsilon=50.0), 10_000, batch_size=100, steps_of=lambda units: 1)
    assert found.adapter.noise_multiplier == LEAST_NOISE
    assert found.epsilon < 49


@pytest.mark.parametrize("mu", [0.05, 0.7, 3.0])
def test_epsilon_of_a_gaussian_is_the_inverse_of_its_mu(mu: float) -> None:
    assert gaussian_mu(gaussian_epsilon(mu, 1e-5), 1e-5) == pytest.approx(mu)
