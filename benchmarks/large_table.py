"""Seconds and memory of an audit of a large table: 500 runs, the target among them, and 50,000 records.

Run:

    python benchmarks/large_table.py                     # must take at most 3 minutes and 2 GB on two quiet cores
    python benchmarks/large_table.py --runs 100 --records 20000

The table is made up (each record has its own level, members are one standard deviation surer) and judged as `tckr audit
--scores` judges it, every attack included. On a busy machine the seconds of CPU tell more than those of the clock.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from tckr.membership.config import MembershipConfig
from tckr.membership.evidence import Evidence
from tckr.membership.soundness import require_sound
from tckr.metrics.estimate import Estimate
from tckr.tables.audit import judge_table


def made_up(num_runs: int, num_records: int) -> Evidence:
    """Return a table without labels."""
    generator = np.random.default_rng(0)
    members = generator.random((num_runs, num_records)) < 0.5
    signals = generator.normal(size=members.shape)
    signals += members
    signals += 3 * generator.normal(size=num_records)
    labels = np.zeros(num_records, dtype=np.int64)
    return Evidence(
        class_names=[], labels=labels, members=members, surfaces={"model": ("model",)}, signals={"model": signals}
    )


def main() -> None:
    """Judge one table and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--records", type=int, default=50_000)
    arguments = parser.parse_args()
    evidence = made_up(arguments.runs, arguments.records)
    before, clock, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    result = judge_table(MembershipConfig(), require_sound(evidence), "")
    surface = result.surfaces["model"]
    assert isinstance(surface.of_target, Estimate)
    print(
        f"{arguments.runs} runs, {arguments.records:,} records: AUC {surface.of_target}, mean over runs {surface.over_runs}"
    )
    print(
        f"{time.perf_counter() - clock:.0f} s, {time.process_time() - cpu:.0f} s of CPU, peak memory {_peak_mb():,.0f} MB "
        f"({before:,.0f} MB with the table alone)"
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
