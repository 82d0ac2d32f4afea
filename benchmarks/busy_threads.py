"""Time a training beside other programs: how OpenMP's threads wait, and how many there are.

    python benchmarks/busy_threads.py                    # on a machine where nothing else is at work
    python benchmarks/busy_threads.py --rounds 9 --busy 0 1 2 --seconds-each 20

The training is the embedded ResNet at 32 px in batches of 64. Every way is a process of its own, because the variables count
only before torch is imported:

    default   as the libraries are set up, all cores
    passive   OMP_WAIT_POLICY=PASSIVE, all cores: what the command line sets
    one       one thread

The other programs are processes that compute without a pause, one a core. Each round measures every way beside each number
of them, in another order. Printed are steps a second as ratios to `default` on the quiet machine of the same round: medians
over the rounds and, in brackets, the range. The script refuses to begin where other programs use over a tenth of a core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from measure import spread

WAYS = {"default": {}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}, "one": {"OMP_NUM_THREADS": "1"}}
"""Name -> environment variables."""

OPENMP = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables that the user may have set; none reaches the processes."""

QUIET = 10.0
"""Percent of a core that other programs may use."""


def train(seconds: float) -> None:
    """Print how many steps a second the training takes."""
    import torch

    from tckr.models.classifiers import build_classifier

    torch.manual_seed(0)
    model = build_classifier("embedded:resnet", 10, [str(name) for name in range(10)], 0).train()
    optimizer = torch.optim.AdamW(model.parameters())
    images, labels = torch.rand(64, 3, 32, 32), torch.randint(0, 10, (64,))
    steps, begin = 0, time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds or steps < 10:
        if steps == 5:  # the first ones load and warm up
            begin = now
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
    print((steps - 5) / (time.perf_counter() - begin))


def steps_per_second(way: str, seconds: float) -> float:
    """Return the speed of the training in a separate process."""
    own = {name: value for name, value in os.environ.items() if name not in OPENMP}
    command = [sys.executable, __file__, "--train", str(seconds)]
    return float(subprocess.run(command, env=own | WAYS[way], stdout=subprocess.PIPE, text=True, check=True).stdout)


@contextlib.contextmanager
def busy_beside(number: int) -> Iterator[None]:
    """Keep `number` processes computing."""
    processes = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(number)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _compute() -> None:
    while True:
        sum(range(100_000))


def main() -> None:
    """Measure, print a table, and write it as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--busy", type=int, nargs="+", default=[0, 1, 2], help="numbers of other programs; 0 must be among them"
    )
    parser.add_argument("--seconds-each", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--anyway", action="store_true", help="measure on a machine that is not quiet; the ratios mean little"
    )
    parser.add_argument("--train", type=float, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.train:
        return train(chosen.train)
    used = psutil.cpu_percent(3.0) * psutil.cpu_count()
    if used > QUIET and not chosen.anyway:
        parser.error(f"other programs use {used:.0f} % of a core; expected at most {QUIET:.0f} %; wait, or give --anyway")
    found = measure(chosen.rounds, chosen.busy, chosen.seconds_each)
    for busy in chosen.busy:
        for way in WAYS:
            ratios = [one[busy, way] / one[0, "default"] for one in found]
            middle, low, high = spread(ratios)
            print(f"{busy} other programs  {way:<8} {middle:.2f} [{low:.2f}, {high:.2f}]")
    if chosen.json:
        rows = [{f"{busy} {way}": pace for (busy, way), pace in one.items()} for one in found]
        chosen.json.write_text(json.dumps({"cores": os.cpu_count(), "steps_per_second": rows}, indent=1), encoding="utf-8")
    return None


def measure(rounds: int, busy: list[int], seconds: float) -> list[dict[tuple[int, str], float]]:
    """Return for each round the steps a second by (number of other programs, way)."""
    cases = [(number, way) for number in dict.fromkeys([0, *busy]) for way in WAYS]
    found = []
    for turn in range(rounds):
        paces = {}
        for number, way in cases[turn % len(cases) :] + cases[: turn % len(cases)]:
            with busy_beside(number):
                paces[number, way] = steps_per_second(way, seconds)
        found.append(paces)
    return found


if __name__ == "__main__":
    main()
