"""Measure what Ray costs: seconds per job and per item that do nothing, and the memory of the process that hands them out.

    python benchmarks/cluster.py                                          # Ray on this machine
    python benchmarks/cluster.py --address auto --jobs 1000 --items 100000

A shard of a real run takes 30 s or more; the last column says which share of that the overhead is.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from tckr.artifacts.synthetic import shards
from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Needs
from tckr.engine.executors.opening import open_executor
from tckr.engine.executors.ray_workers import Hands, RayMap, Share
from tckr.engine.observer import Listener, Silent
from tckr.engine.step import Workers
from tckr.process import Gang

REAL_SECONDS = 30.0
"""Of a shard."""
IMAGES, SHARD_SIZE = 10**9, 256


def nothing(*, listener: Listener, workers: Workers | None, gang: Gang | None = None) -> None:
    """Be a job."""


def same(item: Any) -> Any:
    """Be what is mapped over items."""
    return item


def who(item: Any) -> int:
    """Be what is mapped over items; return the process."""
    return os.getpid()


def share_of(num_hands: int) -> Share:
    """Return what an actor of the benchmark needs."""
    return Share(threads=1, cpus=0.5, gpus=0.0)


def time_jobs(executor: Any, count: int) -> float:
    """Return the seconds per job of `count`, one at a time being concluded as the runner does."""
    needs, started, done = Needs(share=Fraction(1, 2), threads=1, device=False), time.perf_counter(), 0
    for _ in range(count):
        executor.submit(nothing, needs)
    while done < count:
        done += sum(1 for _ in executor.completed())
    return (time.perf_counter() - started) / count


def time_items(count: int, num_workers: int) -> tuple[float, float]:
    """Return the seconds per item once all actors work, and by how many MB the memory of this process grew meanwhile."""
    process, found, before, started = psutil.Process(), set[int](), 0, 0.0

    def items() -> Iterator[Any]:
        while len(found) < num_workers:
            yield None
        yield from planned(count)

    with RayMap(Path.cwd(), Hands(most=num_workers, share_for=share_of)) as over:
        for worker in over(who, items(), num_workers):
            found.add(worker)
            if not started and len(found) == num_workers:
                before, started = process.memory_info().rss, time.perf_counter()
        seconds = (time.perf_counter() - started) / count
        return seconds, (process.memory_info().rss - before) / 1e6


def planned(count: int) -> Iterator[tuple[str, range]]:
    """Return the first `count` shards of a set of 10^9 images, which are arithmetic."""
    return islice(shards(IMAGES, SHARD_SIZE), count)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", help="of a cluster; none starts Ray here")
    parser.add_argument("--jobs", type=int, default=200, help="steps that do nothing (default 200)")
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 10_000], help="shards (default 1000 10000)")
    parser.add_argument("--workers", type=int, default=2, help="actors (default 2)")
    arguments = parser.parse_args()
    execution = ExecutionConfig(executor="ray", ray_address=arguments.address, device="cpu", threads=1)
    with open_executor(execution, 1, Silent()) as executor:
        time_jobs(executor, 4)  # the workers are there
        seconds = time_jobs(executor, arguments.jobs)
        print(f"{arguments.jobs} jobs: {1000 * seconds:.1f} ms each, {seconds / REAL_SECONDS:.2%} of {REAL_SECONDS:.0f} s")
        for count in arguments.items:
            seconds, grown = time_items(count, arguments.workers)
            print(
                f"{count} of {IMAGES // SHARD_SIZE} shards: {1 / seconds:.0f} per second through one process, "
                f"{1000 * seconds:.2f} ms each, {grown:+.1f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
