"""Which share of a machine and how many threads each step has: from the whole graph, never from what is whole already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from graphlib import TopologicalSorter

from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Needs
from tckr.engine.graph import sources_of
from tckr.engine.step import Role, Step


def needs_of(steps: Sequence[Step], execution: ExecutionConfig) -> dict[str, Needs]:
    """Return what each step needs: it shares the machine equally with its peers, whatever runs beside it.

    Peers are the steps of one stage of which none waits for another, such as the Teachers of the target and of all
    reference runs. A step without peers has the machine for itself; so has one that prefers it, where no other run repeats
    it. Threads may change the last bits of a result, so neither the order of work nor what is whole already may count.
    """
    kinds = _kinds(steps)
    peers = Counter(kinds.values())
    repeated = Counter(kinds[step.name] for step in steps if step.role is not Role.CONTROL)
    needs = {}
    for step in steps:
        kind = kinds[step.name]
        lanes = execution.num_workers(max(1, repeated[kind]) if step.prefers_alone else peers[kind])
        threads = execution.threads_for(lanes)
        needs[step.name] = Needs(share=Fraction(1, lanes), threads=threads, device=step.uses_device)
    return needs


def _kinds(steps: Sequence[Step]) -> dict[str, tuple[str, int]]:
    """Return for each step its stage and how many steps of that stage come before it in the longest chain."""
    by_name, sources = {step.name: step for step in steps}, sources_of(steps)
    lengths: dict[str, Counter[str]] = {}
    kinds = {}
    for name in TopologicalSorter(sources).static_order():
        stage = by_name[name].stage
        before: Counter[str] = Counter()
        for source in sources[name]:
            before |= lengths[source]  # the larger of both, stage by stage
        kinds[name] = stage, before[stage]
        lengths[name] = before + Counter([stage])
    return kinds
