"""Compute the noise that a budget requires, with dp-accounting (privacy loss distributions, pessimistic rounding).

Up to three mechanisms read private records; everything else is computed from their results:

    count       N + Gaussian noise; one unit changes N by at most 1
    training    DP-SGD (Abadi et al. 2016): every step takes each unit with probability q, clips its gradient to norm C, and
                adds Gaussian noise of standard deviation sigma x C to the sum
    votes       the histograms of all voted images + Gaussian noise, if labels are votes (Papernot et al. 2018); one unit
                changes one vote for each image, i.e. all n histograms together by at most sqrt(2 n)

Neighbouring sets differ by one unit that is added or removed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tckr.errors import UserError
from tckr.privacy.config import NEEDS_PACKAGES, PrivacyConfig

COUNT_SHARE = 0.2
"""Mu of the count over mu of the total budget: 4 % in squares, which add up (Gaussian differential privacy)."""

VOTES_SHARE = 0.5
"""Mu of the votes over mu of the total budget: 25 % in squares."""

INTERVAL = 1e-3
"""Grid of the discretized privacy loss. Values are rounded up: a coarser grid needs more noise but keeps the guarantee."""

LEAST_NOISE, MOST_NOISE, TOLERANCE = 0.2, 1e4, 1e-3
"""Range of the noise multipliers that are tried, and the precision of the bisection. A budget that allows less noise gets
the least one, and is not spent completely."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """DP-SGD.

    Attributes:
        sampling_rate: q, probability that a unit is in a step.
        steps: number of steps.
        noise_multiplier: sigma, standard deviation of the noise divided by the clipping norm.
    """

    sampling_rate: float
    steps: int
    noise_multiplier: float


@dataclass(frozen=True, kw_only=True)
class Voting:
    """Noisy votes.

    Attributes:
        images: n, number of images that are voted on.
        noise: standard deviation of the noise on the number of votes for each class of each image.
    """

    images: int
    noise: float

    @property
    def noise_multiplier(self) -> float:
        """Return the noise over what one unit can change in all histograms together.

        A unit is in the part of one Teacher. If that Teacher votes for another class, two counts change by 1; if it starts
        or stops to vote, one does. So a histogram changes by at most sqrt(2), and n of them by sqrt(2 n).
        """
        return self.noise / math.sqrt(2 * self.images)


def count_noise(epsilon: float, delta: float) -> float:
    """Return the standard deviation of the noise on the number of units."""
    return 1 / (COUNT_SHARE * gaussian_mu(epsilon, delta))


def voting_of(privacy: PrivacyConfig) -> Voting | None:
    """Return the votes of a budget and their noise; None if labels are not votes."""
    if privacy.epsilon is None or not privacy.takes_votes:
        return None
    multiplier = 1 / (VOTES_SHARE * gaussian_mu(privacy.epsilon, privacy.delta))
    return Voting(images=privacy.votes, noise=math.sqrt(2 * privacy.votes) * multiplier)


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the mu of the Gaussian mechanism that is exactly (epsilon, delta)-DP (Balle and Wang 2018, Theorem 8)."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr

    def excess(mu: float) -> float:
        return math.exp(log_ndtr(mu / 2 - epsilon / mu)) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)) - delta

    return float(brentq(excess, 1e-6, 100.0))


@lru_cache(maxsize=100)  # it takes up to a second, and a calibration asks for some noises several times
def epsilon_spent(training: Training, noise_of_count: float, delta: float, voting: Voting | None = None) -> float:
    """Return the total epsilon of count, training and votes."""
    dp = _library()
    from dp_accounting.pld import PLDAccountant

    step = dp.PoissonSampledDpEvent(training.sampling_rate, dp.GaussianDpEvent(training.noise_multiplier))
    votes = [dp.GaussianDpEvent(voting.noise_multiplier)] if voting else []
    event = dp.ComposedDpEvent([dp.GaussianDpEvent(noise_of_count), *votes, dp.SelfComposedDpEvent(step, training.steps)])
    return float(PLDAccountant(value_discretization_interval=INTERVAL).compose(event).get_epsilon(delta))


def calibrate(epsilon: float, delta: float, *, sampling_rate: float, steps: int, voting: Voting | None = None) -> Training:
    """Return the training with the least noise such that count, training and votes together spend at most `epsilon`.

    Raises:
        UserError: no noise up to `MOST_NOISE` is enough; the message names both ends of the range.
    """
    dp = _library()
    noise_of_count = count_noise(epsilon, delta)

    def trained(noise: float) -> Training:
        return Training(sampling_rate=sampling_rate, steps=steps, noise_multiplier=noise)

    try:
        noise = dp.calibrate_dp_mechanism(
            lambda: _Accountant(dp.NoOpDpEvent(), noise_of_count, voting),
            trained,
            epsilon,
            delta,
            dp.LowerEndpointAndGuess(LEAST_NOISE, 1.0),
            tol=TOLERANCE,
        )
    except dp.mechanism_calibration.NoBracketIntervalFoundError:  # too little or too much for any noise that is tried
        fits = epsilon_spent(trained(LEAST_NOISE), noise_of_count, delta, voting) <= epsilon
        noise = LEAST_NOISE if fits else math.inf
    if not noise <= MOST_NOISE:
        raise UserError(
            f"no noise multiplier from {LEAST_NOISE:g} to {MOST_NOISE:,.0f} makes {steps} steps with {sampling_rate:.4g} of "
            f"the units each fit into epsilon {epsilon:g}, delta {delta:g}; lower adapt.batch_size or adapt.steps, or raise "
            "privacy.epsilon"
        )
    return trained(float(noise))


class _Accountant:
    """An accountant of `epsilon_spent` with the methods that `calibrate_dp_mechanism` uses."""

    def __init__(self, ledger: Any, noise_of_count: float, voting: Voting | None) -> None:
        self.ledger, self._noise_of_count, self._voting = ledger, noise_of_count, voting

    def compose(self, training: Training) -> _Accountant:
        self._training = training
        return self

    def get_epsilon(self, delta: float) -> float:
        return epsilon_spent(self._training, self._noise_of_count, delta, self._voting)


def _library() -> Any:
    try:
        import dp_accounting
    except ImportError:
        raise UserError(NEEDS_PACKAGES) from None
    return dp_accounting
