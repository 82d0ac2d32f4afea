"""Simulate a set of a billion images on 1,000 machines: what the process that hands out shards costs, in time and memory.

    python -m benchmarks.cluster_plan
    python -m benchmarks.cluster_plan --shards 1000 10000 --workers 1000 --milliseconds 1.0

The code that hands out is TCKR's own (`RayMap`, and the plan of shards). Ray and its machines are simulated: an actor needs
30 s of a clock that is only counted for a shard, and nothing is computed. CPU seconds are of this process, so they depend
little on what else runs on the machine. `--milliseconds` are what Ray itself costs per shard in this process; `cluster.py`
measures it. Needs Ray to be installed, but starts none. Exit status 1 if memory grows, or the overhead is 1 % or more.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cluster import REAL_SECONDS, planned, same, share_of
from tckr.engine.executors import ray_workers
from tckr.engine.executors.ray_workers import AHEAD, Hands, RayMap

LARGEST_SHARE = 0.01
"""Of a shard's time that may be lost."""
LARGEST_GROWTH = 50_000
"""Bytes that the peak may differ by between two numbers of shards."""


@dataclass(order=True)
class Reference:
    """The result of a call on an actor, which is there at the time `done`."""

    done: float
    number: int
    value: Any = field(compare=False)

    def __hash__(self) -> int:
        """Return the identity."""
        return self.number


@dataclass
class SimulatedRay:
    """What `RayMap` uses of Ray, on a clock that is moved on to the next result. Each actor does one call after another.

    Attributes:
        seconds: what a call takes, after the actor's start.
        handing: seconds that this process needs for each call; it does one after another.
        now: the clock.
        idle: seconds that actors waited for a call, in all.
    """

    seconds: float
    handing: float = 0.0
    now: float = 0.0
    idle: float = 0.0
    calls: int = 0
    largest: int = 0
    pending: list[Reference] = field(default_factory=list)

    def remote(self, *given: Any) -> Any:
        """Return something that makes actors of a class; without a class, make one."""
        return self if given else SimulatedActor(self)

    def options(self, **_: Any) -> Any:
        """Return something that makes actors."""
        return self

    def wait(self, references: Sequence[Reference], **_: Any) -> tuple[list[Reference], list[Reference]]:
        """Move the clock on to the first result."""
        self.largest = max(self.largest, len(self.pending))
        first = heapq.heappop(self.pending)
        self.now = max(self.now, first.done) + self.handing
        return [first], []

    def get(self, reference: Reference) -> Any:
        """Return a result."""
        return reference.value

    def kill(self, actor: Any) -> None:
        """End an actor."""


class SimulatedActor:
    """An actor that computes nothing."""

    def __init__(self, ray: SimulatedRay) -> None:
        """Start at the present time."""
        self.ray, self.free = ray, ray.now
        self.begin, self.call = SimulatedMethod(self, 0.0), SimulatedMethod(self, ray.seconds)


@dataclass
class SimulatedMethod:
    """A method of an actor, which takes so many `seconds`."""

    actor: SimulatedActor
    seconds: float

    def remote(self, what: Any, item: Any) -> Reference:
        """Return the result, the `item`, of a call that begins when the earlier ones are done."""
        actor, ray = self.actor, self.actor.ray
        ray.calls += 1
        if self.seconds:  # the start is no work that an actor could wait for
            ray.idle += max(0.0, ray.now - actor.free)
        actor.free = max(actor.free, ray.now) + self.seconds
        reference = Reference(actor.free, ray.calls, item)
        heapq.heappush(ray.pending, reference)
        return reference


@dataclass(frozen=True)
class Found:
    """What handing out so many shards took: CPU seconds and bytes of this process, and what the actors waited for."""

    shards: int
    cpu_seconds: float
    peak_bytes: int
    idle_share: float
    in_flight: int


def hand_out(count: int, num_workers: int, milliseconds: float, *, traced: bool) -> Found:
    """Hand out `count` shards of a set of 10^9 images to simulated actors."""
    simulated = SimulatedRay(REAL_SECONDS, milliseconds / 1000)
    original, ray_workers.ray = ray_workers.ray, simulated
    tracemalloc.start() if traced else None
    started = time.process_time()
    try:
        with RayMap(Path.cwd(), Hands(most=num_workers, share_for=share_of)) as over:
            for _ in over(same, planned(count), num_workers):
                pass
        seconds, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1] if traced else 0
    finally:
        ray_workers.ray = original
        tracemalloc.stop()
    return Found(count, seconds, peak, simulated.idle / (count * REAL_SECONDS), simulated.largest)


def main() -> int:
    """Read the arguments, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=1_000, help="actors (default 1000)")
    parser.add_argument(
        "--milliseconds", type=float, default=1.0, help="that Ray needs per shard in this process (default 1)"
    )
    arguments = parser.parse_args()
    found = []
    for count in arguments.shards:
        quick = hand_out(count, arguments.workers, arguments.milliseconds, traced=False)
        traced = hand_out(count, arguments.workers, arguments.milliseconds, traced=True)
        found.append(traced)
        own = 1e6 * quick.cpu_seconds / count
        print(
            f"{count} shards, {arguments.workers} workers: {own:.0f} us of CPU each beside Ray, at most {traced.in_flight} "
            f"in flight, peak {traced.peak_bytes / 1e6:.2f} MB, workers waited {traced.idle_share:.3%} of their time",
            flush=True,
        )
    enough = [one for one in found if one.shards > 2 * AHEAD * arguments.workers]
    grown = max((one.peak_bytes for one in enough), default=0) - min((one.peak_bytes for one in enough), default=0)
    waited = max((one.idle_share for one in enough), default=0.0)
    print(f"memory grows by {grown / 1e6:.2f} MB; the most that workers waited: {waited:.3%}")
    return int(grown > LARGEST_GROWTH or waited >= LARGEST_SHARE)


if __name__ == "__main__":
    sys.exit(main())
