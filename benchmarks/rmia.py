"""How long does RMIA take with many records, how much memory, and does it equal the direct formula? Status 0 if so.

    python benchmarks/rmia.py                  # 50,000 records, 64 reference runs, 10,000 population records
    python benchmarks/rmia.py --leave-one-out  # and every scorer against each of the 65 runs (two minutes)

Made-up confidences: a level per record, noise per run, members surer. The direct formula is the paper's, in probabilities
and with its matrix of records by population, for 500 of the records. The status is 1 if a score differs, or if it takes more
than 30 s or 2 GB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
from scipy.special import expit, logit

from tckr.membership.scorers import SCORERS
from tckr.membership.scorers.references import without_one
from tckr.membership.scorers.rmia import OFFLINE_SLOPE, ConfidenceSums, log_ratio_offline, log_ratio_online, relative_score

RECORDS, POPULATION, RUNS, SUBSAMPLE = 50_000, 10_000, 64, 500
GAMMA = 2.0
MAX_SECONDS, MAX_GIGABYTES = 30.0, 2.0
LOG_RATIO = {"online": log_ratio_online, "offline": log_ratio_offline}


def world() -> tuple[np.ndarray, np.ndarray]:
    """Return signals and membership [runs + 1, records + population]; no run saw the population."""
    generator = np.random.default_rng(0)
    members = generator.random((RUNS + 1, RECORDS + POPULATION)) < 0.5
    members[:, RECORDS:] = False
    return 2 + 2 * generator.normal(size=members.shape[1]) + generator.normal(size=members.shape) + members, members


def direct(kind: str, signals: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the scores of the first 500 records, one comparison per record and population record."""
    p, seen = 1 / (1 + np.exp(-signals)), members[1:]
    p_out = np.where(seen, 0, p[1:]).sum(axis=0) / (~seen).sum(axis=0)
    p_in = OFFLINE_SLOPE * p_out + 1 - OFFLINE_SLOPE
    if kind == "online":  # what no run saw would be surer by as much as the records are on average
        p_in[:RECORDS] = np.where(seen, p[1:], 0)[:, :RECORDS].sum(axis=0) / seen[:, :RECORDS].sum(axis=0)
        gap = (logit(p_in) - logit(p_out))[:RECORDS].mean()
        p_in[RECORDS:] = expit(logit(p_out[RECORDS:]) + gap)
    ratio = p[0] / ((p_in + p_out) / 2)
    return (ratio[:SUBSAMPLE, None] / ratio[None, RECORDS:] >= GAMMA).mean(axis=1)


def peak_gigabytes() -> float:
    """Return the largest memory that this process ever held (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def leave_one_out(signals: np.ndarray, members: np.ndarray) -> None:
    """Print the seconds that each scorer takes to attack every run with all others."""
    total = time.perf_counter()
    for name, scorer in SCORERS.items():
        start = time.perf_counter()
        for _ in scorer.score_each(signals, members):
            pass
        print(f"leave-one-out of {len(signals)} runs: {name:28s} {time.perf_counter() - start:6.1f} s", flush=True)
    print(f"all scorers: {time.perf_counter() - total:.1f} s, peak {peak_gigabytes():.2f} GB")


def main() -> int:
    """Measure, compare and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--leave-one-out", action="store_true")
    arguments = parser.parse_args()
    signals, members = world()
    sound, scores = True, {}
    for kind, log_ratio in LOG_RATIO.items():
        start = time.perf_counter()
        ratios = log_ratio(*without_one(ConfidenceSums, signals, members, 0).sides(), signals[0])
        scores[kind] = relative_score(ratios[:RECORDS], ratios[RECORDS:], GAMMA)
        seconds, gigabytes = time.perf_counter() - start, peak_gigabytes()
        print(
            f"{kind}: {RECORDS} records, {RUNS} runs, {POPULATION} of population: {seconds:.2f} s, peak {gigabytes:.2f} GB"
        )
        sound &= seconds <= MAX_SECONDS and gigabytes <= MAX_GIGABYTES
    if arguments.leave_one_out:
        leave_one_out(signals[:, :RECORDS], members[:, :RECORDS])
    for kind in LOG_RATIO:
        difference = float(np.abs(scores[kind][:SUBSAMPLE] - direct(kind, signals, members)).max())
        print(f"{kind}: largest difference from the direct formula over {SUBSAMPLE} records: {difference:g}")
        sound &= difference < 1e-9
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
