"""Time a training beside other programs, by how OpenMP's threads wait for one another; check what the command line sets.

    python benchmarks/busy_threads.py                    # at most six minutes, on a machine where nothing else is at work
    python benchmarks/busy_threads.py --spins 500 10000 --json FILE

The training is the embedded ResNet at 32 px in batches of 64. Every way is a process of its own, because the variables count
only before torch is imported:

    default   as the libraries are set up, all cores
    passive   OMP_WAIT_POLICY=PASSIVE, all cores: threads sleep at once
    tckr      what the command line sets, all cores
    one       one thread
    spin N    GOMP_SPINCOUNT=N, all cores, for every N of --spins

The other programs are processes that compute without a pause, one a core. Each round measures every way beside each number
of them, in another order. Printed are steps a second as ratios to `default` on the quiet machine of the same round: medians
over the rounds and, in brackets, the range. The script ends with status 1 if `tckr` is over 1.1 times as slow as that on
the quiet machine, or over 2.5 times beside one other program. It refuses to begin where other programs use over a tenth of
a core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tckr.process import OTHER_WAITING, WAITING, limit_spinning

TCKR = "tckr"
WAYS = {"default": {}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}, TCKR: {}, "one": {"OMP_NUM_THREADS": "1"}}
"""Name -> environment variables; those of `tckr` are set by TCKR itself."""

SLOWEST = {0: 1.1, 1: 2.5}
"""Number of other programs -> how many times as slow `tckr` may be as `default` on the quiet machine."""

QUIET = 10.0
"""Percent of a core that other programs may use."""

WARM_UP = 3
"""Steps of each turn that are not timed."""

Paces = Mapping[tuple[int, str], float]
"""(number of other programs, way) -> steps a second."""


def serve(way: str) -> None:
    """Read seconds, a line each, train for so long, and print how many steps a second that took."""
    assert "torch" not in sys.modules
    if way == TCKR:
        limit_spinning()
    import torch

    from tckr.models.classifiers import build_classifier

    torch.manual_seed(0)
    model = build_classifier("embedded:resnet", 10, [str(name) for name in range(10)], 0).train()
    optimizer = torch.optim.AdamW(model.parameters())
    images, labels = torch.rand(64, 3, 32, 32), torch.randint(0, 10, (64,))

    def step() -> None:
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    for line in sys.stdin:
        for _ in range(WARM_UP):
            step()
        steps, begin = 0, time.perf_counter()
        while time.perf_counter() < begin + float(line):
            step()
            steps += 1
        print(steps / (time.perf_counter() - begin), flush=True)


@contextlib.contextmanager
def started(ways: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """Start a process for each way, which loads the model once; they sleep while another one is measured."""
    own = {name: value for name, value in os.environ.items() if name not in (*WAITING, *OTHER_WAITING, "OMP_NUM_THREADS")}
    processes = {
        way: subprocess.Popen(
            [sys.executable, __file__, "--serve", way],
            env=own | dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for way, variables in ways.items()
    }
    try:
        for process in processes.values():
            steps_per_second(process, 0.1)  # waits until it is loaded
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()


def steps_per_second(process: Any, seconds: float) -> float:
    """Let a process train for some seconds and return its pace."""
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


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


def measure(
    ways: Mapping[str, Mapping[str, str]], rounds: int, busy: Sequence[int], seconds: float, minutes: float
) -> list[Paces]:
    """Return the paces of each round; none after the first begins that would end after `minutes`."""
    cases = [(number, way) for number in dict.fromkeys([0, *busy]) for way in ways]
    found: list[Paces] = []
    begin, longest = time.perf_counter(), 0.0
    with started(ways) as processes:
        for turn in range(rounds):
            began = time.perf_counter()
            if found and began + longest > begin + 60 * minutes:
                break
            first = turn * len(ways) % len(cases) + turn % len(ways)
            paces = {}
            for number, way in cases[first:] + cases[:first]:
                with busy_beside(number):
                    paces[number, way] = steps_per_second(processes[way], seconds)
            found.append(paces)
            longest = max(longest, time.perf_counter() - began)
            print(f"round {turn + 1}: {longest:.0f} s", file=sys.stderr, flush=True)
    return found


def ratios(found: Sequence[Paces], busy: int, way: str) -> tuple[float, float, float]:
    """Return the pace beside `busy` other programs over that of `default` on the quiet machine: median, least, most."""
    found_here = [paces[busy, way] / paces[0, "default"] for paces in found]
    return statistics.median(found_here), min(found_here), max(found_here)


def missed(found: Sequence[Paces], busy: Sequence[int]) -> list[str]:
    """Return a sentence for each bar that `tckr` missed; print one for each that holds."""
    wrong = []
    for number, slowest in SLOWEST.items():
        if number in busy:
            slower = 1 / ratios(found, number, TCKR)[0]
            text = f"beside {number} other programs {slower:.2f} times as slow as default when quiet, at most {slowest}"
            print(f"{'missed' if slower > slowest else 'holds'}: {text}")
            wrong += [text] if slower > slowest else []
    return wrong


def main() -> None:
    """Measure, print a table, write it as JSON where asked to, and check the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="numbers of other programs")
    parser.add_argument("--seconds-each", type=float, default=4.0)
    parser.add_argument("--minutes", type=float, default=5.5, help="begin no further round that would end later")
    parser.add_argument("--spins", type=int, nargs="+", default=[], help="further numbers of turns before a thread sleeps")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--anyway", action="store_true", help="measure on a machine that is not quiet; the ratios mean little"
    )
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        return serve(chosen.serve)
    used = psutil.cpu_percent(3.0) * psutil.cpu_count()
    if used > QUIET and not chosen.anyway:
        parser.error(f"other programs use {used:.0f} % of a core; expected at most {QUIET:.0f} %; wait, or give --anyway")
    ways = WAYS | {f"spin {count}": {"GOMP_SPINCOUNT": str(count)} for count in chosen.spins}
    found = measure(ways, chosen.rounds, chosen.busy, chosen.seconds_each, chosen.minutes)
    for busy in chosen.busy:
        for way in ways:
            middle, low, high = ratios(found, busy, way)
            print(f"{busy} other programs  {way:<12} {middle:.2f} [{low:.2f}, {high:.2f}]")
    if chosen.json:
        rows = [{f"{busy} {way}": pace for (busy, way), pace in paces.items()} for paces in found]
        chosen.json.write_text(json.dumps({"cores": os.cpu_count(), "steps_per_second": rows}, indent=1), encoding="utf-8")
    sys.exit(int(bool(missed(found, chosen.busy))))


if __name__ == "__main__":
    main()
