"""Null control at scale: many simulated targets that saw none of the records they are attacked for.

    python benchmarks/null_targets.py runs/NAME/artifacts/audit/scores.parquet

A finished run is attacked for a new random membership, which its training did not use, so the truth is AUC 0.5 for every
signal and scorer. The runs take turns, references are the true ones, the draw has the target's number of members in every
class. Printed: of how many simulated targets the 95 % interval covers 0.5, in hundreds; exit status 1 when one is below 93
of 100 (with few targets, below what a sound interval misses once in 10,000 times).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import binom

from tckr.membership.evidence import Evidence
from tckr.membership.scorers import SCORERS
from tckr.metrics.estimate import Estimate
from tckr.metrics.membership import auc
from tckr.tables.audit import read_table

CONFIDENCE = 0.95
ENOUGH = 0.93


def null_rows(evidence: Evidence, count: int, seed: int) -> np.ndarray:
    """Return bool [count, N]: random memberships with as many members of each class as the target's."""
    generator = np.random.default_rng(seed)
    rows = np.zeros((count, len(evidence.labels)), dtype=bool)
    for label in np.unique(evidence.labels):
        records = np.flatnonzero(evidence.labels == label)
        size = int(evidence.members[0, records].sum())
        for row in rows:
            row[generator.permutation(records)[:size]] = True
    return rows


def covered(evidence: Evidence, signal: str, scorer: str, rows: np.ndarray) -> np.ndarray:
    """Return for each null membership whether the interval of its AUC covers 0.5, bool [targets].

    The random row replaces the attacked run's own, so that a scorer that looks at it is caught.
    """
    signals, members = evidence.signals[signal], evidence.members_of(signal).copy()
    found = []
    for target, row in enumerate(rows):
        run = target % len(signals)
        true_row = members[run].copy()
        members[run] = row
        found.append(auc(SCORERS[scorer].score(signals, members, run), row, CONFIDENCE))
        members[run] = true_row
    return np.array([isinstance(each, Estimate) and each.covers(0.5) for each in found])


def main() -> int:
    """Print one row per signal and scorer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    evidence, _ = read_table(arguments.scores)
    rows = null_rows(evidence, arguments.targets, arguments.seed)
    worst = 1.0
    print(f"{arguments.targets} simulated targets, {CONFIDENCE:.0%} intervals\n")
    print("| signal | scorer | covers 0.5, of 100 |\n|---|---|---|")
    for signal in evidence.signals:
        for scorer in SCORERS:
            if evidence.has_references(signal) or not SCORERS[scorer].needs_references:
                share = float(covered(evidence, signal, scorer, rows).mean())
                worst = min(worst, share)
                print(f"| {signal} | {scorer} | {100 * share:.1f} |", flush=True)
    bar = min(ENOUGH, float(binom.ppf(1e-4, arguments.targets, CONFIDENCE)) / arguments.targets)
    print(f"\nlowest: {100 * worst:.1f} of 100; expected at least {100 * bar:.1f}")
    return 0 if worst >= bar else 1


if __name__ == "__main__":
    sys.exit(main())
