"""Compute what a run takes on several machines from the seconds that its steps took on one.

    python benchmarks/cluster_costs.py runs/NAME
    python benchmarks/cluster_costs.py runs/NAME --machines 1 8 64 --price 2.50 audit.num_reference_runs=64

A step that is not complete is assumed to cost as much as complete ones of its kind. Machines are equal, with one step each;
caption, generate, label and the questions of the audit are also shared out among machines that have no step of their own, as
on Ray. `overhead` is added to every step: a worker loads libraries and models. The table is arithmetic and no measurement:
disk and network are taken to keep up.
"""

from __future__ import annotations

import argparse
import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tckr.cli.settings import settings_from
from tckr.engine.graph import sources_of
from tckr.engine.machine_share import needs_of
from tckr.engine.step import Role, Step
from tckr.engine.store import Store
from tckr.running import plan

SHARED_OUT = ("caption", "generate", "label", "audit:ask")
"""Stages whose work is shared out, and the functions of a stage."""


@dataclass(frozen=True)
class Makespan:
    """What so many machines need: `seconds` until the last step is done, `busy` machine-seconds."""

    machines: int
    seconds: float
    busy: float


def kind(step: Step) -> tuple[str, str]:
    """Return what steps have in common that take equally long."""
    return step.stage, step.function.rpartition(":")[2]


def is_shared_out(step: Step) -> bool:
    """Return whether several machines do a part of the step each."""
    return kind(step)[0] in SHARED_OUT or ":".join(kind(step)) in SHARED_OUT


def work_of(steps: Sequence[Step], measured: Sequence[Step], store: Store, shares: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of an entire machine that each step needs."""
    known: dict[tuple[str, str], list[float]] = defaultdict(list)
    for step in measured:
        if store.has(step):
            known[kind(step)].append(store.manifest(step)["seconds"] * shares[step.name])
    missing = {":".join(kind(step)) for step in steps if kind(step) not in known}
    if missing:
        raise SystemExit(f"nothing of {', '.join(sorted(missing))} is whole in this run; finish it first")
    return {step.name: mean(known[kind(step)]) for step in steps}


def makespan(steps: Sequence[Step], work: Mapping[str, float], machines: int, overhead: float) -> Makespan:
    """Return the duration if each step starts as soon as its inputs are complete and a machine is free."""
    peers = defaultdict(int)
    for step in steps:
        peers[kind(step)] += 1
    waits = {name: set(sources) for name, sources in sources_of(steps).items()}
    order = sorted(steps, key=lambda step: step.role is not Role.TARGET)
    free, now, busy = machines, 0.0, 0.0
    running: list[tuple[float, str, int]] = []
    while waits:
        at_work = {name for _, name, _ in running}
        for step in order:
            if step.name in waits and step.name not in at_work and not waits[step.name] and free:
                hands = max(1, machines // min(machines, peers[kind(step)])) if is_shared_out(step) else 1
                hands = min(free, hands)
                seconds = work[step.name] / hands + overhead
                heapq.heappush(running, (now + seconds, step.name, hands))
                free, busy = free - hands, busy + seconds * hands
        now, done, hands = heapq.heappop(running)
        free += hands
        del waits[done]
        for sources in waits.values():
            sources.discard(done)
    return Makespan(machines, now, busy)


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--price", type=float, help="of an hour of one machine")
    parser.add_argument("--overhead", type=float, default=10.0, help="seconds per step (default 10)")
    parser.add_argument(
        "--times", type=float, default=1.0, help="how much longer each step takes, with a larger set or model"
    )
    parser.add_argument("settings", nargs="*", help="key=value: what the larger run would have")
    arguments = parser.parse_intermixed_args()
    own = settings_from([str(arguments.run)], None, None, None, None)
    larger = settings_from([str(arguments.run), *arguments.settings], None, None, None, None)
    measured, steps = plan(own), plan(larger)
    shares = {name: float(needs.share) for name, needs in needs_of(measured, own.execution).items()}
    found = work_of(steps, measured, Store(own.execution.store), shares)
    work = {name: seconds * arguments.times for name, seconds in found.items()}
    print(f"{len(steps)} steps, {sum(work.values()) / 3600:.3g} h of one machine, {arguments.overhead:g} s per step added")
    print("| machines | hours | times faster | machine-hours | idle |" + " cost |" * bool(arguments.price))
    print("|---|---|---|---|---|" + "---|" * bool(arguments.price))
    spans = [makespan(steps, work, machines, arguments.overhead) for machines in arguments.machines]
    alone = makespan(steps, work, 1, arguments.overhead).seconds
    for one in spans:
        paid = one.machines * one.seconds / 3600
        row = f"| {one.machines} | {one.seconds / 3600:.3g} | {alone / one.seconds:.1f} | {paid:.3g} "
        row += f"| {1 - one.busy / (one.machines * one.seconds):.0%} |"
        print(row + (f" {paid * arguments.price:,.2f} |" if arguments.price else ""))


if __name__ == "__main__":
    main()
