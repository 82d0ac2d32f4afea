"""Compute the noise that a budget requires, with dp-accounting (privacy loss distributions, pessimistic rounding).

Two to four mechanisms read private records; everything else is computed from their results:

    count       N + Gaussian noise; one unit changes N by at most 1
    means       of the images of each class (optional): their sums + Gaussian noise; one unit changes all sums together by
                at most 1 (`tckr.stages.adapt.central`)
    training    of the generator, by DP-SGD (Abadi et al. 2016): every step takes each unit with probability q, clips its
                gradient to norm C, and adds Gaussian noise of standard deviation sigma x C to the sum
    labels      of a Teacher, also trained by DP-SGD; or of votes (Papernot et al. 2018): the histograms of all voted images
                + Gaussian noise; one unit changes one vote for each image, i.e. all n histograms together by at most
                sqrt(2 n)

Neighbouring sets differ by one unit that is added or removed. Rates and steps follow from the noisy count. Each block of
counts has one noise, which is enough for all of them, so one bound holds for all counts of a set (docs/guarantee.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from tckr.errors import UserError
from tckr.privacy.config import NEEDS_PACKAGES, PrivacyConfig

COUNT_SHARE = 0.2
"""Mu of the count over mu of the total budget: 4 % in squares, which add up (Gaussian differential privacy)."""

CENTRAL_SHARE = 0.2
"""Mu of the mean images over mu of the total budget: 4 % in squares."""

VOTES_SHARE = 0.5
"""Mu of the votes over mu of the total budget: 25 % in squares."""

TEACHER_SHARE = 0.7
"""Mu of the Teacher that labels over mu of the total budget: 49 % in squares."""

INTERVAL = 1e-3
"""Grid of the discretized privacy loss. Values are rounded up: a coarser grid needs more noise but keeps the guarantee."""

TAIL = 1e-3
"""Share of delta for noisy counts that are too far from the number of units."""

IN_BLOCK = (1 - TAIL) / 2
"""Share of delta for the counts of a block: those that are likely for a set lie in at most two."""

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


def central_of(privacy: PrivacyConfig) -> Training | None:
    """Return the release of mean images, a Gaussian mechanism, and its noise; None if there are none."""
    if privacy.epsilon is None or not privacy.central_images:
        return None
    multiplier = 1 / (CENTRAL_SHARE * gaussian_mu(privacy.epsilon, privacy.delta))
    return Training(sampling_rate=1.0, steps=1, noise_multiplier=multiplier)


@dataclass(frozen=True, kw_only=True)
class Division:
    """What a budget pays for beside the count.

    Attributes:
        adapter: training of the generator.
        central: release of mean images before it; None if there are none.
        votes: votes that label; None if none do.
        teacher: training of the Teacher that labels; None if none does.
    """

    adapter: Training
    central: Training | None
    votes: Voting | None
    teacher: Training | None


def divide_budget(privacy: PrivacyConfig, noisy_count: int, *, batch_size: int, steps_of: Callable[[int], int]) -> Division:
    """Divide a budget; rates and steps are those of the noisy count, the noise is that of its block.

    Args:
        privacy: with an epsilon.
        noisy_count: number of units with noise.
        batch_size: expected number of units in a step of the adapter.
        steps_of: steps of the adapter for a number of units; more units never have fewer.

    Raises:
        UserError: no noise is enough.
    """
    assert privacy.epsilon is not None
    fewest, most = block_of(noisy_count, privacy.epsilon, privacy.delta)
    central, votes, teacher = central_of(privacy), voting_of(privacy), teacher_of(privacy, fewest, most)
    adapter = calibrate(
        privacy.epsilon,
        privacy.delta,
        sampling_rate=min(1.0, batch_size / fewest),
        steps=steps_of(most),
        others=[each for each in (central, votes, teacher) if each],
    )
    rate, steps = _pace_of_teacher(privacy, noisy_count)
    return Division(
        adapter=replace(adapter, sampling_rate=min(1.0, batch_size / noisy_count), steps=steps_of(noisy_count)),
        central=central,
        votes=votes,
        teacher=teacher and replace(teacher, sampling_rate=rate, steps=steps),
    )


def block_of(noisy_count: int, epsilon: float, delta: float) -> tuple[int, int]:
    """Return the first and the last count of the block to which a noisy count belongs.

    Except with probability `TAIL` x delta, the noisy counts of one set lie in at most two blocks. Counts are rounded, and at
    least 1.
    """
    from scipy.stats import norm

    size = math.ceil(2 * (count_noise(epsilon, delta) * float(norm.isf(TAIL * delta / 2)) + 1))
    block = noisy_count // size
    return max(1, block * size), (block + 1) * size - 1


def teacher_of(privacy: PrivacyConfig, fewest: int, most: int) -> Training | None:
    """Return the training of the Teacher that labels, with the rate of `fewest` units, the steps of `most`, and their noise.

    Alone it spends what a Gaussian mechanism with its share of mu would spend. None if no Teacher labels.

    Raises:
        UserError: no noise up to `MOST_NOISE` is enough.
    """
    if privacy.epsilon is None or not privacy.has_teacher:
        return None
    delta = IN_BLOCK * privacy.delta
    rate, steps = _pace_of_teacher(privacy, fewest)[0], _pace_of_teacher(privacy, most)[1]
    return _with_least_noise(
        partial(Training, sampling_rate=rate, steps=steps),
        lambda training: epsilon_of(delta, training),
        gaussian_epsilon(TEACHER_SHARE * gaussian_mu(privacy.epsilon, delta), delta),
        privacy.delta,
        "privacy.teacher_batch_size or privacy.teacher_epochs",
    )


def _pace_of_teacher(privacy: PrivacyConfig, num_units: int) -> tuple[float, int]:
    """Return sampling rate and steps of the Teacher that labels."""
    rate = min(1.0, privacy.teacher_batch_size / num_units)
    return rate, math.ceil(privacy.teacher_epochs / rate)


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the mu of the Gaussian mechanism that is exactly (epsilon, delta)-DP (Balle and Wang 2018, Theorem 8)."""
    from scipy.optimize import brentq

    return float(brentq(lambda mu: _gaussian_delta(mu, epsilon) - delta, 1e-6, 100.0))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the epsilon of the Gaussian mechanism with this mu, the inverse of `gaussian_mu`; 0 if delta is enough."""
    from scipy.optimize import brentq

    if _gaussian_delta(mu, 0.0) <= delta:
        return 0.0
    return float(brentq(lambda epsilon: _gaussian_delta(mu, epsilon) - delta, 0.0, 1e4))


def _gaussian_delta(mu: float, epsilon: float) -> float:
    from scipy.special import log_ndtr

    return math.exp(log_ndtr(mu / 2 - epsilon / mu)) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))


def epsilon_spent(training: Training, noise_of_count: float, delta: float, *others: Voting | Training) -> float:
    """Return the total epsilon of count, training and other mechanisms."""
    return epsilon_of(delta, Training(sampling_rate=1.0, steps=1, noise_multiplier=noise_of_count), *others, training)


@lru_cache(maxsize=100)  # it takes up to a second, and a calibration asks for some noises several times
def epsilon_of(delta: float, *mechanisms: Voting | Training) -> float:
    """Return the epsilon of several mechanisms on the same records."""
    dp = _library()
    from dp_accounting.pld import PLDAccountant

    events = []
    for mechanism in mechanisms:
        event = dp.GaussianDpEvent(mechanism.noise_multiplier)
        if isinstance(mechanism, Training) and mechanism.sampling_rate < 1:
            event = dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(mechanism.sampling_rate, event), mechanism.steps)
        elif isinstance(mechanism, Training):  # Gaussian mechanisms together are one: faster, and exact
            event = dp.GaussianDpEvent(mechanism.noise_multiplier / math.sqrt(mechanism.steps))
        events.append(event)
    accountant = PLDAccountant(value_discretization_interval=INTERVAL).compose(dp.ComposedDpEvent(events))
    return float(accountant.get_epsilon(delta))


def calibrate(
    epsilon: float, delta: float, *, sampling_rate: float, steps: int, others: Sequence[Voting | Training] = ()
) -> Training:
    """Return the training with the least noise such that it, count and `others` together spend at most `epsilon`.

    This is at the share of `delta` that the counts of a block have (`IN_BLOCK`).

    Raises:
        UserError: no noise up to `MOST_NOISE` is enough; the message names both ends of the range.
    """
    noise_of_count = count_noise(epsilon, delta)
    return _with_least_noise(
        partial(Training, sampling_rate=sampling_rate, steps=steps),
        lambda training: epsilon_spent(training, noise_of_count, IN_BLOCK * delta, *others),
        epsilon,
        delta,
        "adapt.batch_size or adapt.steps",
    )


def _with_least_noise(
    of_noise: Callable[..., Training], spent: Callable[[Training], float], epsilon: float, delta: float, lower: str
) -> Training:
    """Return the training with the least noise with which `spent` is at most `epsilon`; `lower` are settings for less."""
    dp = _library()
    try:
        noise = dp.calibrate_dp_mechanism(
            lambda: _Accountant(dp.NoOpDpEvent(), spent),
            lambda noise: of_noise(noise_multiplier=noise),
            epsilon,
            delta,
            dp.LowerEndpointAndGuess(LEAST_NOISE, 1.0),
            tol=TOLERANCE,
        )
    except dp.mechanism_calibration.NoBracketIntervalFoundError:  # too little or too much for any noise that is tried
        noise = LEAST_NOISE if spent(of_noise(noise_multiplier=LEAST_NOISE)) <= epsilon else math.inf
    found = of_noise(noise_multiplier=float(noise))
    if not noise <= MOST_NOISE:
        raise UserError(
            f"no noise multiplier from {LEAST_NOISE:g} to {MOST_NOISE:,.0f} makes {found.steps} steps with "
            f"{found.sampling_rate:.4g} of the units each fit into epsilon {epsilon:.4g}, delta {delta:g}; lower {lower}, "
            "or raise privacy.epsilon"
        )
    return found


class _Accountant:
    """An accountant with the methods that `calibrate_dp_mechanism` uses."""

    def __init__(self, ledger: Any, spent: Callable[[Training], float]) -> None:
        self.ledger, self._spent = ledger, spent

    def compose(self, training: Training) -> _Accountant:
        self._training = training
        return self

    def get_epsilon(self, delta: float) -> float:
        return self._spent(self._training)


def _library() -> Any:
    try:
        import dp_accounting
    except ImportError:
        raise UserError(NEEDS_PACKAGES) from None
    return dp_accounting
