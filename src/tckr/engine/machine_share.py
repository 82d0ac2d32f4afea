"""Share of the machine and threads of each step. They follow from the complete graph, never from existing artifacts."""

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
    """Return the needs of each step: it shares the machine equally with its peers, regardless of other running steps.

    Peers are steps of one stage that do not wait for one another, such as the Teachers of the target and of all reference
    runs. A step without peers gets the machine alone; so does a step that prefers it, if no other run repeats it. Threads
    may change the last bits of a result, so they must not depend on the order of work or on existing artifacts.
    """
    kinds = _kinds(steps)
    peers = Counter(kinds.values())
    repeated = Counter(kinds[step.name] for step in steps if step.role is not Role.CONTROL)
    needs = {}
    for step in steps:
        kind = kinds[step.name]
        lanes = execution.num_workers(max(1, repeated[kind]) if step.prefers_alone else peers[kind])
        threads = execution.threads_for(lanes)
        together = execution.gpus if step.trains_together else 1
        needs[step.name] = Needs(share=Fraction(1, lanes), threads=threads, device=step.uses_device, together=together)
    return needs


def _kinds(steps: Sequence[Step]) -> dict[str, tuple[str, int]]:
    """Return for each step its stage and the number of steps of that stage before it in the longest chain."""
    by_name, sources = {step.name: step for step in steps}, sources_of(steps)
    lengths: dict[str, Counter[str]] = {}
    kinds = {}
    for name in TopologicalSorter(sources).static_order():
        stage = by_name[name].stage
        before: Counter[str] = Counter()
        for source in sources[name]:
            before |= lengths[source]  # element-wise maximum by stage
        kinds[name] = stage, before[stage]
        lengths[name] = before + Counter([stage])
    return kinds
