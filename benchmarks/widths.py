"""Do audits print intervals of the mean over runs as wide as `tckr audit --plan` says? Simulated where nothing leaks.

Prints the mean width of the default attack's intervals beside the planned one, and the factor of `costs.widths.FACTORS` that
these widths would give. Exit status 1 where planned / observed is outside 0.9 to 1.1. Records are normal with a level of
their own; `--uneven` gives them spreads of their own too (standard deviation of their logarithms). `--signals FILE.npy`
takes the signals of real models [records, runs] instead, with new random memberships. The factors are those of seeds 0 to
3, so another one is a fresh check. Run: python benchmarks/widths.py [--count 200] [--seed 4]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from tckr.costs.widths import auc_spread, mean_width, quantile_over
from tckr.membership.analyses import leave_one_out
from tckr.membership.config import MembershipConfig
from tckr.membership.scorers import SCORERS
from tckr.metrics.estimate import Estimate

CONFIDENCE = 0.95
LOWEST, HIGHEST = 0.9, 1.1


def world(generator: np.random.Generator, rows: int, records: int, uneven: float, given: np.ndarray | None) -> np.ndarray:
    """Return signals [rows, records] that do not depend on any membership."""
    if given is not None:
        chosen = generator.permutation(given.shape[1])[:rows], generator.permutation(len(given))[:records]
        return given.T[np.ix_(*chosen)].astype(np.float64)
    noise = np.exp(uneven * generator.normal(size=records)) * generator.normal(size=(rows, records))
    return 3 * generator.normal(size=records) + noise


def widths(
    scorer: str,
    references: int,
    *,
    records: int,
    holdout: float,
    uneven: float,
    count: int,
    seed: int,
    signals: np.ndarray | None,
) -> np.ndarray:
    """Return the widths of `count` audits that leak nothing."""
    found = []
    for number in range(count):
        generator = np.random.default_rng([seed, references, number])
        members = np.argsort(generator.random((references + 1, records)), axis=1) < round((1 - holdout) * records)
        answers = world(generator, references + 1, records, uneven, signals)
        mean = leave_one_out({scorer: SCORERS[scorer]}, answers, members, CONFIDENCE, declared=scorer)[scorer].mean
        assert isinstance(mean, Estimate), mean
        found.append(mean.high - mean.low)
    return np.array(found)


def main() -> int:
    """Simulate, print and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--holdout", type=float, default=0.5)
    parser.add_argument("--uneven", type=float, default=0.0)
    parser.add_argument("--signals", type=Path)
    parser.add_argument("--scorer", default=MembershipConfig().scorer)
    parser.add_argument("--references", type=int, nargs="+", default=[4, 8, 16, 31, 32, 64, 256])
    arguments = vars(parser.parse_args())
    numbers, scorer = arguments.pop("references"), arguments.pop("scorer")
    arguments["signals"] = np.load(arguments["signals"]) if arguments["signals"] else None
    members = round((1 - arguments["holdout"]) * arguments["records"])
    sizes, sound = (members, arguments["records"] - members), True
    for number in numbers:
        found = widths(scorer, number, **arguments)
        observed, error = found.mean(), found.std(ddof=1) / len(found) ** 0.5
        planned = mean_width(*sizes, number, CONFIDENCE)
        runs = number + 1
        factor = runs * (observed / (2 * quantile_over(runs, CONFIDENCE) * auc_spread(*sizes))) ** 2
        ratio = planned / observed
        sound &= LOWEST <= ratio <= HIGHEST
        print(
            f"{number:3d} references: planned {planned:.4f}, observed {observed:.4f} +- {error:.4f} in {len(found)} audits, "
            f"ratio {ratio:.3f}; factor {factor:.2f}",
            flush=True,
        )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
