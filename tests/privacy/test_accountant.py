"""The accountant agrees with another library, and the noise that it computes keeps the budget."""

import pytest
from opacus.accountants import PRVAccountant

from tckr.privacy.accountant import Training, calibrate, count_noise, epsilon_spent, gaussian_mu

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
