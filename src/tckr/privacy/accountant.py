"""How much noise a budget needs, by the accountant of dp-accounting (privacy loss distributions, pessimistic).

Two mechanisms see private records; all else is computed from their results:

    count       N + Gaussian noise; one unit changes N by at most 1
    training    DP-SGD (Abadi et al. 2016): every step takes each unit with probability q, clips its gradient to norm C, and
                adds Gaussian noise of standard deviation sigma x C to the sum

Neighbouring sets differ by one unit that is added or removed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tckr.errors import UserError
from tckr.privacy.config import NEEDS_PACKAGES

COUNT_SHARE = 0.2
"""Mu of the count over mu of the whole budget, in Gaussian differential privacy, where mu adds up in squares: 2 % of it."""

INTERVAL = 1e-3
"""Of the discretized privacy loss. Discretization rounds upwards: a coarser grid costs noise and never the guarantee."""

LEAST_NOISE, MOST_NOISE, TOLERANCE = 0.2, 1e4, 1e-3


@dataclass(frozen=True, kw_only=True)
class Training:
    """DP-SGD.

    Attributes:
        sampling_rate: q, chance of each unit to be in a step.
        steps: how many.
        noise_multiplier: sigma, standard deviation of the noise over the clipping norm.
    """

    sampling_rate: float
    steps: int
    noise_multiplier: float


def count_noise(epsilon: float, delta: float) -> float:
    """Return the standard deviation of the noise that is added to the number of units."""
    return 1 / (COUNT_SHARE * gaussian_mu(epsilon, delta))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the mu of the Gaussian mechanism that is exactly (epsilon, delta)-DP (Balle and Wang 2018, Theorem 8)."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr

    def excess(mu: float) -> float:
        return math.exp(log_ndtr(mu / 2 - epsilon / mu)) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)) - delta

    return float(brentq(excess, 1e-6, 100.0))


def epsilon_spent(training: Training, noise_of_count: float, delta: float) -> float:
    """Return the epsilon of count and training together."""
    dp = _library()
    accountant = _accountant()
    accountant.compose(_event(dp, training.noise_multiplier, training.sampling_rate, training.steps, noise_of_count))
    return float(accountant.get_epsilon(delta))


def calibrate(epsilon: float, delta: float, *, sampling_rate: float, steps: int) -> Training:
    """Return the training with the least noise whose epsilon, together with the count's, is at most `epsilon`.

    Raises:
        UserError: no noise up to `MOST_NOISE` is enough.
    """
    dp = _library()
    noise_of_count = count_noise(epsilon, delta)
    try:
        noise = dp.calibrate_dp_mechanism(
            _accountant,
            lambda noise: _event(dp, noise, sampling_rate, steps, noise_of_count),
            epsilon,
            delta,
            dp.LowerEndpointAndGuess(LEAST_NOISE, 1.0),
            tol=TOLERANCE,
        )
    except dp.mechanism_calibration.NoBracketIntervalFoundError:
        noise = math.inf
    if not noise <= MOST_NOISE:
        raise UserError(
            f"no noise makes {steps} steps with {sampling_rate:.4g} of the units each fit into epsilon {epsilon:g}, delta "
            f"{delta:g}; lower adapt.batch_size or adapt.steps"
        )
    return Training(sampling_rate=sampling_rate, steps=steps, noise_multiplier=float(noise))


def _event(dp: Any, noise: float, rate: float, steps: int, noise_of_count: float) -> Any:
    step = dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(noise))
    return dp.ComposedDpEvent([dp.GaussianDpEvent(noise_of_count), dp.SelfComposedDpEvent(step, steps)])


def _accountant() -> Any:
    from dp_accounting.pld import PLDAccountant

    return PLDAccountant(value_discretization_interval=INTERVAL)


def _library() -> Any:
    try:
        import dp_accounting
    except ImportError:
        raise UserError(NEEDS_PACKAGES) from None
    return dp_accounting
