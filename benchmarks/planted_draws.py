"""How often does the control `planted` fail, with one draw as up to rules 10 and with the present ones? Simulated.

Each record has its own level and spread, each run its own noise; nothing leaks. The declared attack of an audit is tried, an
attack of half its strength (its scores mixed with noise until its AUC is 0.60), and one that answers at random. A sound
attack should pass; the two others must fail. Prints the share of audits that fail, by number of reference runs and records.
Run: python benchmarks/planted_draws.py [--audits 200]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import product

import numpy as np

from tckr.artifacts.audit import Control
from tckr.membership import planted as control
from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.scorers import SCORERS, Scorer
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc

REFERENCES, RECORDS = (4, 8, 16), (40, 200, 432, 1300)
NOISE = 1.9
"""Standard deviations of noise on the ranks of an attack of AUC 0.71, after which its AUC is 0.60."""

DECLARED = MembershipConfig().scorer


def world(generator: np.random.Generator, references: int, records: int) -> Evidence:
    """Return evidence about a Teacher of which nothing leaks."""
    rows = np.argsort(generator.random((references + 1, records)), axis=1) < records // 2
    spreads = np.exp(0.5 * generator.normal(size=records))
    signals = 3 * generator.normal(size=records) + spreads * generator.normal(size=rows.shape)
    labels = np.zeros(records, dtype=np.int64)
    return Evidence(class_names=["a"], labels=labels, members=rows, signals={"teacher": signals})


def attacks(generator: np.random.Generator) -> Mapping[str, Scorer]:
    """Return the declared attack, a weaker and a broken one."""
    sound = SCORERS[DECLARED]

    def weakened(inside: object, outside: object, signal: np.ndarray) -> np.ndarray:
        ranks = np.argsort(np.argsort(sound.rate(inside, outside, signal))) / len(signal)
        return ranks + NOISE * ranks.std() * generator.normal(size=len(signal))

    def broken(inside: object, outside: object, signal: np.ndarray) -> np.ndarray:
        return generator.normal(size=len(signal))

    return {"sound": sound, "weak": Scorer(weakened), "at random": Scorer(broken)}


def failed_with_one_draw(scorer: Scorer, evidence: Evidence) -> bool:
    """Return whether the control fails by the rule up to version 10: row 0 alone, one draw of members."""
    signals = evidence.signals["teacher"]
    members = np.random.default_rng(0).permuted(evidence.members, axis=1)
    moved = signals + control.EFFECT * signals.std(axis=0, ddof=1) * members
    found = auc(scorer.score(moved, members, 0), members[0], MembershipConfig().confidence)
    return not (isinstance(found, Estimate) and found.low > control.BAR)


def checked(scorer: Scorer, evidence: Evidence) -> Control:
    """Return the control of the present rules for an attack."""
    SCORERS[DECLARED], kept = scorer, SCORERS[DECLARED]
    try:
        return control.planted(MembershipConfig(), evidence, "teacher")
    finally:
        SCORERS[DECLARED] = kept


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--audits", type=int, default=200)
    number = parser.parse_args().audits
    for references, records in product(REFERENCES, RECORDS):
        generator = np.random.default_rng([references, records])
        for name, scorer in attacks(generator).items():
            worlds = (world(generator, references, records) for _ in range(number))
            found = [(failed_with_one_draw(scorer, each), checked(scorer, each)) for each in worlds]
            mean = np.mean([each.found.value for _, each in found if isinstance(each.found, Estimate)])
            before, now = (sum(each) / number for each in zip(*((one, not each.passed) for one, each in found), strict=True))
            print(
                f"{references:2d} reference runs, {records:4d} records, attack {name:9s} (mean AUC {mean:.3f}): "
                f"{before:6.1%} failed with one draw, {now:6.1%} now",
                flush=True,
            )


if __name__ == "__main__":
    main()
