"""How often does the interval of the mean over runs cover the truth? Simulated with 4, 8 and 16 reference runs.

Every world has records with levels of their own and runs with noise; members are surer by a shift. Records are sampled once
for each kind of world, runs 300 times: the interval is about training runs like these on the records at hand. Where a shift
differs between runs it is part of the run. Prints the share of 95 % intervals that cover the mean of all simulated means
(0.5 where nothing leaks), with Clopper-Pearson's interval, and how wide they are. Run: python benchmarks/intervals.py
"""

from __future__ import annotations

import argparse

import numpy as np

from tckr.membership.analyses import leave_one_out
from tckr.membership.config import MembershipConfig
from tckr.membership.scorers import SCORERS
from tckr.metrics.estimate import Estimate
from tckr.metrics.proportions import clopper_pearson

WORLDS = {
    "nothing leaks": {"shift": 0.0},
    "uneven noise, nothing leaks": {"shift": 0.0, "uneven": 1.0},
    "weak": {"shift": 0.03},
    "small": {"shift": 0.06},
    "clear": {"shift": 0.5},
    "strong": {"shift": 1.5},
    "runs differ": {"shift": 0.5, "between_runs": 0.5},
    "records differ": {"shift": 0.5, "between_records": 1.0},
    "hold-out 0.25": {"shift": 0.0, "share": 0.75},
}
"""Shift in standard deviations between runs; `uneven`, `between_runs` and `between_records` are those of logarithms."""


def world(
    generator: np.random.Generator,
    rows: int,
    records: int,
    *,
    shift: float,
    uneven: float = 0.0,
    between_runs: float = 0.0,
    between_records: float = 0.0,
    share: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Return signals and membership [rows, records]; the records are the same in every call, the runs are not."""
    own = np.random.default_rng(0)
    levels, noise = 3 * own.normal(size=records), np.exp(uneven * own.normal(size=records))
    exposed = np.exp(between_records * own.normal(size=records))
    members = np.argsort(generator.random((rows, records)), axis=1) < round(share * records)
    shifts = shift * np.exp(between_runs * generator.normal(size=(rows, 1))) * exposed
    return levels + noise * generator.normal(size=members.shape) + shifts * members, members


def intervals(name: str, kind: dict[str, float], *, references: int, records: int, count: int) -> list[Estimate]:
    """Return the interval of every simulated audit."""
    generator, found = np.random.default_rng(1), []
    for _ in range(count):
        drawn = world(generator, references + 1, records, **kind)
        mean = leave_one_out({name: SCORERS[name]}, *drawn, 0.95, declared=name)[name].mean
        assert isinstance(mean, Estimate), mean
        found.append(mean)
    return found


def covered(found: list[Estimate], truth: float | None) -> int:
    """Return how many cover the truth; None = the mean of all."""
    wanted = float(np.mean([each.value for each in found])) if truth is None else truth
    return sum(each.covers(wanted) for each in found)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--scorer", default=MembershipConfig().scorer)
    parser.add_argument("--references", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=list(WORLDS))
    arguments = parser.parse_args()
    for references in arguments.references:
        for name in arguments.worlds:
            kind = WORLDS[name]
            sizes = {"references": references, "records": arguments.records, "count": arguments.count}
            found = intervals(arguments.scorer, kind, **sizes)
            cover = covered(found, None if kind["shift"] else 0.5)
            low, high = clopper_pearson(cover, len(found), 0.95)
            values = [each.value for each in found]
            width = np.mean([each.high - each.low for each in found])
            print(
                f"{arguments.scorer} {references:2d} references, {name:28s} covers {cover / len(found):.3f} "
                f"[{low:.3f}, {high:.3f}], AUC {np.mean(values):.3f}, width {width:.4f}, ideal {3.92 * np.std(values):.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
