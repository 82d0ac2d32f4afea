"""How often do the audit's intervals and bounds hold? Simulated where the truth is known; nominal 95 %.

Scores are N(0, 1) for non-members and N(shift + run's own, 1) for members, so AUC, TPR at a given FPR and PPV have closed
forms; the mechanism of the bounds is exactly mu-GDP. An interval covers where it contains the truth, a bound where it does
not exceed it. `benchmarks/intervals.py` does the same for the mean over runs. Run:
python benchmarks/coverage.py [--repetitions 1000] [--parts target classes differences rates bounds]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence, Predictions
from tckr.membership.verdict import differences
from tckr.membership.vulnerability import worst_class
from tckr.metrics.estimate import Estimate, Measured
from tckr.metrics.gaussian_dp import mu_from_rates, one_run_mu
from tckr.metrics.low_fpr import PRIORS, pooled_tpr_at_fpr, ppv_at_threshold, tpr_at_reference_fpr
from tckr.metrics.membership import auc, auc_by_class, auc_difference, balanced_accuracy, tpr_at_fpr
from tckr.metrics.one_run import one_run_epsilon
from tckr.metrics.proportions import clopper_pearson

CONFIDENCE, DELTA = 0.95, 1e-5
RATES = (0.1, 0.01, 0.001)
WORLDS = ((5, 400, 1.5, 0.0), (9, 600, 1.5, 0.0), (9, 600, 1.5, 0.3), (17, 1500, 0.0, 0.0), (17, 1500, 1.0, 0.2))
"""Runs, records, shift of members, and its standard deviation over runs."""

TARGETS = ((200, 0.5, 0.0), (200, 0.25, 0.0), (200, 0.5, 0.5), (200, 0.5, 2.0), (1300, 0.5, 0.0), (1300, 0.5, 0.5))
"""Records, share of non-members, shift of members."""

CLASSES = {"10 of 40": np.repeat(np.arange(10), 40), "20 of 4, 60 and 100": np.repeat(np.arange(22), [4] * 20 + [60, 100])}
PAIRS = ((0.0, 0.0), (0.5, 0.5), (1.0, 0.3))
"""Shift of members in Teacher and Student."""

Draw = Callable[[np.random.Generator], Measured]


def runs(
    generator: np.random.Generator, rows: int, records: int, shift: float, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and membership of runs, each with half of the records."""
    members = np.argsort(generator.random((rows, records)), axis=1) < records // 2
    leaks = shift + spread * generator.normal(size=(rows, 1))
    return generator.normal(size=members.shape) + leaks * members, members


def true_auc(shift: float) -> float:
    """Return the AUC of members that are `shift` standard deviations higher."""
    return float(norm.cdf(shift / 2**0.5))


def show(name: str, draw: Draw, truth: float | None, repetitions: int) -> None:
    """Print how many intervals cover the truth and how wide they are; None = the mean of all values is the truth."""
    generator = np.random.default_rng(0)
    found = [each for each in (draw(generator) for _ in range(repetitions)) if isinstance(each, Estimate)]
    if found:
        wanted = float(np.mean([each.value for each in found])) if truth is None else truth
        report(name, [each.covers(wanted) for each in found], f"truth {wanted:.4f}", found)


def report(name: str, covered: list[bool], about: str, found: list[Estimate]) -> None:
    """Print one line: the share that covers, with its interval, and the mean width."""
    low, high = clopper_pearson(sum(covered), len(covered), CONFIDENCE)
    width = np.mean([each.high - each.low for each in found])
    share = f"covers {np.mean(covered):.3f} [{low:.3f}, {high:.3f}] of {len(covered)}"
    print(f"{name:72s} {share}, width {width:.3f}, {about}", flush=True)


def targets(repetitions: int) -> None:
    """Print the coverage of what is said of one run: AUC, balanced accuracy, TPR at FPR on its own records."""
    for records, held_out, shift in TARGETS:
        members = np.arange(records) >= round(held_out * records)
        name = f"{records} records, hold-out {held_out}, shift {shift}"

        def scores(generator: np.random.Generator, members: np.ndarray = members, shift: float = shift) -> np.ndarray:
            return generator.normal(size=len(members)) + shift * members

        show(f"AUC of a run, {name}", lambda g, m=members, s=scores: auc(s(g), m, CONFIDENCE), true_auc(shift), repetitions)  # type: ignore[misc]
        show(
            f"balanced accuracy, {name}",
            lambda g, m=members, s=scores: balanced_accuracy(s(g), m, 0.5, CONFIDENCE),  # type: ignore[misc]
            (norm.sf(0.5 - shift) + norm.cdf(0.5)) / 2,
            repetitions,
        )
        for rate in RATES:
            show(
                f"TPR at FPR {rate}, {name}",
                lambda g, m=members, s=scores, rate=rate: tpr_at_fpr(s(g), m, rate, CONFIDENCE),  # type: ignore[misc]
                norm.sf(norm.isf(rate) - shift),
                repetitions,
            )


def classes(repetitions: int) -> None:
    """Print how often the interval of the worst class covers that class's own truth."""
    for name, labels in CLASSES.items():
        names = [str(label) for label in np.unique(labels)]
        together = 1 - (1 - CONFIDENCE) / len(names)
        for spread in (0.0, 0.5):
            shifts = spread * np.random.default_rng(0).normal(size=len(names))  # of each class, the same in every draw
            generator, covered, found = np.random.default_rng(1), [], []
            for _ in range(repetitions):
                members = generator.random(len(labels)) < 0.5
                scores = generator.normal(size=len(labels)) + shifts[labels] * members
                worst = worst_class(auc_by_class(scores, members, labels, names, together))
                assert worst is not None
                assert isinstance(worst.auc, Estimate)
                covered.append(worst.auc.covers(true_auc(shifts[int(worst.name)])))
                found.append(worst.auc)
            report(f"worst class, {name} records, shifts differ by {spread}", covered, "truth of that class", found)


def of_students(repetitions: int) -> None:
    """Print the coverage of Student minus Teacher: of one run over records, and over runs by the default attack."""
    for teacher, student in PAIRS:
        name = f"shifts {teacher} and {student}"

        def one(generator: np.random.Generator, teacher: float = teacher, student: float = student) -> Measured:
            members, shared = np.arange(600) < 300, generator.normal(size=600)
            first, second = ((shared + generator.normal(size=600)) / 2**0.5 + each * members for each in (teacher, student))
            return auc_difference(second, first, members, CONFIDENCE)

        show(f"Student minus Teacher, one run, {name}", one, true_auc(student) - true_auc(teacher), repetitions)
        for references in (4, 8, 16):

            def over_runs(
                generator: np.random.Generator, rows: int = references + 1, shifts: tuple = (teacher, student)
            ) -> Measured:
                return _over_runs(generator, rows, *shifts)

            count = max(1, repetitions // 5)
            truth = 0.0 if teacher == student else None
            show(f"Student minus Teacher, {references} references, {name}", over_runs, truth, count)


def _over_runs(generator: np.random.Generator, rows: int, teacher: float, student: float) -> Measured:
    """Return the difference over runs of 300 records whose levels are the same in every draw."""
    levels = 3 * np.random.default_rng(0).normal(size=300)
    members = np.argsort(generator.random((rows, 300)), axis=1) < 150
    shared = generator.normal(size=members.shape)
    signals = {
        model: levels + (shared + generator.normal(size=members.shape)) / 2**0.5 + shift * members
        for model, shift in (("teacher", teacher), ("student", student))
    }
    answers = Predictions(np.zeros(4, dtype=np.int64), np.full(4, 0.9), np.zeros(4), np.zeros(4))
    evidence = Evidence(
        class_names=["only"],
        labels=np.zeros(300, dtype=np.int64),
        members=members,
        signals=signals,
        test_labels=np.zeros(4, dtype=np.int64),
        test={"teacher": answers, "student": answers},
    )
    found = differences(MembershipConfig(), evidence).auc_over_runs
    assert found is not None
    return found


def low_rates(world: tuple[int, int, float, float], rate: float, repetitions: int) -> None:
    """Print the coverage of the rates and of PPV in one world at one FPR.

    PPV over runs is the pooled TPR carried over by a rising function, so it covers exactly where that does.
    """
    shift, spread = world[2:]
    truth = float(norm.sf((norm.isf(rate) - shift) / (1 + spread**2) ** 0.5))
    name = f"{world[0]} runs of {world[1]}, shift {shift} +- {spread}, FPR {rate}"

    def pooled(generator: np.random.Generator) -> Measured:
        return pooled_tpr_at_fpr(*runs(generator, *world), rate, CONFIDENCE)

    def of_target(generator: np.random.Generator) -> Measured:
        scores, members = runs(generator, *world)
        return tpr_at_reference_fpr(scores[0], members[0], scores[1:], members[1:], rate=rate, confidence=CONFIDENCE)

    show(f"pooled TPR and PPV over runs, {name}", pooled, truth, repetitions)
    if spread:
        return  # the target's own truth is another one in each world
    show(f"target's TPR, {name}", of_target, truth, repetitions)
    for ratio, prior in PRIORS.items():

        def ppv(generator: np.random.Generator, prior: float = prior) -> Measured:
            scores, members = runs(generator, *world)
            return ppv_at_threshold(scores[0], members[0], float(norm.isf(rate)), prior, CONFIDENCE)

        of_prior = prior * truth / (prior * truth + (1 - prior) * rate)
        show(f"PPV {ratio} at a threshold, {name}", ppv, of_prior, repetitions)


def bounds(mu: float, number: int, repetitions: int) -> None:
    """Print how often bounds exceed the mu, or the epsilon, of a Gaussian mechanism and how near they come."""
    generator, thresholds, found = np.random.default_rng(0), np.linspace(-1, mu + 2, 10), []
    for _ in range(repetitions):
        coins = generator.random(number) < 0.5
        scores = generator.normal(size=number) + mu * coins
        one_run = one_run_mu(scores, coins, confidence=CONFIDENCE, delta=DELTA)
        steinke = one_run_epsilon(scores, coins, confidence=CONFIDENCE, delta=DELTA)
        rates = mu_from_rates(scores, coins, thresholds, confidence=CONFIDENCE, delta=DELTA)
        found.append((one_run.mu, rates.mu, steinke.value, one_run.epsilon or 0.0))
    values, truth = np.array(found), np.array([mu, mu, epsilon_of(mu)])
    holds, middle = (values[:, :3] <= truth).mean(axis=0), np.median(values, axis=0)
    print(
        f"mu {mu} (epsilon {truth[2]:.2f}), {number} canaries, {repetitions} draws: "
        f"one run, f-DP, holds {holds[0]:.3f}, median {middle[0]:.2f} (epsilon {middle[3]:.2f}); "
        f"Steinke holds {holds[2]:.3f}, median {middle[2]:.2f}; from rates holds {holds[1]:.3f}, median {middle[1]:.2f}",
        flush=True,
    )


def epsilon_of(mu: float) -> float:
    """Return the epsilon of a mu-GDP mechanism at DELTA (Dong et al. 2022, corollary 1), by bisection."""
    low, high = 0.0, 200.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        delta = norm.cdf(-middle / mu + mu / 2) - np.exp(middle + norm.logcdf(-middle / mu - mu / 2)) if mu else 0.0
        low, high = (middle, high) if delta > DELTA else (low, middle)
    return high


def main() -> None:
    """Run the requested simulations and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    names = ("target", "classes", "differences", "rates", "bounds")
    parser.add_argument("--parts", nargs="+", default=list(names), choices=names)
    arguments = parser.parse_args()
    count = arguments.repetitions
    parts: dict[str, Callable[[], object]] = {
        "target": lambda: targets(count),
        "classes": lambda: classes(count),
        "differences": lambda: of_students(count),
        "rates": lambda: [low_rates(world, rate, count) for world in WORLDS for rate in RATES],
        "bounds": lambda: [bounds(mu, n, max(count // 10, 1)) for mu in (0.0, 0.5, 1.0, 2.0, 4.0) for n in (100, 1000)],
    }
    for name in arguments.parts:
        parts[name]()


if __name__ == "__main__":
    main()
