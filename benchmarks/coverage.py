"""How often do intervals at low FPR, PPV and bounds on mu hold? Simulated where the truth is known; nominal 95 %.

Scores are N(0, 1) for non-members and N(shift + run's own, 1) for members, so TPR at a given FPR has a closed form; the
mechanism of the bounds is exactly mu-GDP. A bound "covers" where it does not exceed the true mu. Run:
python benchmarks/coverage.py [--repetitions 2000]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.gaussian_dp import mu_from_rates, one_run_mu
from tckr.metrics.low_fpr import PRIORS, pooled_tpr_at_fpr, ppv_at_fpr, ppv_at_threshold, tpr_at_reference_fpr
from tckr.metrics.one_run import one_run_epsilon

CONFIDENCE, DELTA = 0.95, 1e-5
RATES = (0.1, 0.01, 0.001)
WORLDS = ((5, 400, 1.5, 0.0), (9, 600, 1.5, 0.0), (9, 600, 1.5, 0.3), (17, 1500, 0.0, 0.0), (17, 1500, 1.0, 0.2))
"""Runs, records, shift of members, and its standard deviation over runs."""

Draw = Callable[[np.random.Generator], Measured]


def runs(
    generator: np.random.Generator, rows: int, records: int, shift: float, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and membership of runs, each with half of the records."""
    members = np.argsort(generator.random((rows, records)), axis=1) < records // 2
    leaks = shift + spread * generator.normal(size=(rows, 1))
    return generator.normal(size=members.shape) + leaks * members, members


def show(name: str, draw: Draw, truth: float, repetitions: int) -> None:
    """Print how many intervals cover the truth and how wide they are; "of": those that could be measured."""
    generator = np.random.default_rng(0)
    found = [each for each in (draw(generator) for _ in range(repetitions)) if isinstance(each, Estimate)]
    if found:
        covered, width = np.mean([each.covers(truth) for each in found]), np.mean([each.high - each.low for each in found])
        print(f"{name:70s} covers {covered:.3f} of {len(found)}, width {width:.3f}, truth {truth:.4f}", flush=True)


def low_rates(world: tuple[int, int, float, float], rate: float, repetitions: int) -> None:
    """Print the coverage of the rates and of PPV in one world at one FPR."""
    shift, spread = world[2:]
    truth = float(norm.sf((norm.isf(rate) - shift) / (1 + spread**2) ** 0.5))
    name = f"{world[0]} runs of {world[1]}, shift {shift} +- {spread}, FPR {rate}"

    def pooled(generator: np.random.Generator) -> Measured:
        return pooled_tpr_at_fpr(*runs(generator, *world), rate, CONFIDENCE)

    def of_target(generator: np.random.Generator) -> Measured:
        scores, members = runs(generator, *world)
        return tpr_at_reference_fpr(scores[0], members[0], scores[1:], members[1:], rate=rate, confidence=CONFIDENCE)

    show(f"pooled TPR, {name}", pooled, truth, repetitions)
    if spread:
        return  # the target's own truth is another one in each world
    show(f"target's TPR, {name}", of_target, truth, repetitions)
    for ratio, prior in PRIORS.items():

        def ppv(generator: np.random.Generator, prior: float = prior) -> Measured:
            scores, members = runs(generator, *world)
            return ppv_at_threshold(scores[0], members[0], float(norm.isf(rate)), prior, CONFIDENCE)

        of_prior = prior * truth / (prior * truth + (1 - prior) * rate)
        show(f"PPV {ratio} at a threshold, {name}", ppv, of_prior, repetitions)
        show(
            f"PPV {ratio} over runs, {name}",
            lambda generator, prior=prior: ppv_at_fpr(pooled(generator), rate, prior),  # type: ignore[misc]
            of_prior,
            repetitions,
        )


def bounds(mu: float, number: int, repetitions: int) -> None:
    """Print how often bounds exceed the mu of a Gaussian mechanism and how near they come."""
    generator, thresholds, found = np.random.default_rng(0), np.linspace(-1, mu + 2, 10), []
    for _ in range(repetitions):
        coins = generator.random(number) < 0.5
        scores = generator.normal(size=number) + mu * coins
        one_run = one_run_mu(scores, coins, confidence=CONFIDENCE, delta=DELTA)
        steinke = one_run_epsilon(scores, coins, confidence=CONFIDENCE, delta=DELTA)
        rates = mu_from_rates(scores, coins, thresholds, confidence=CONFIDENCE, delta=DELTA)
        found.append((one_run.mu, rates.mu, one_run.epsilon or 0.0, steinke.value))
    values = np.array(found)
    holds, middle = (values[:, :2] <= mu).mean(axis=0), np.median(values, axis=0)
    print(
        f"mu {mu}, {number} canaries: one run holds {holds[0]:.3f}, median {middle[0]:.2f} (epsilon {middle[2]:.2f}; "
        f"Steinke {middle[3]:.2f}); from rates holds {holds[1]:.3f}, median {middle[1]:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    arguments = parser.parse_args()
    for true_mu in (0.0, 0.5, 1.0, 2.0, 4.0):
        for canaries in (100, 1000):
            bounds(true_mu, canaries, max(arguments.repetitions // 4, 1))  # each takes up to half a second
    for chosen in WORLDS:
        for false_positive_rate in RATES:
            low_rates(chosen, false_positive_rate, arguments.repetitions)
