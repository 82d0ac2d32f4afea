"""Which step waits for which, and what each needs: both follow from the whole graph, never from what is whole already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from graphlib import TopologicalSorter

from tckr.engine.execution import ExecutionConfig
from tckr.engine.executors import Needs
from tckr.engine.step import Role, Step


def sources_of(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return for each step the names of those among `steps` that it waits for: its inputs, and donors listed before it.

    Two steps may be donors of each other; the first in the list then is the first to be computed.
    """
    place = {step.name: index for index, step in enumerate(steps)}
    return {
        step.name: [source.name for source in step.inputs.values() if source.name in place]
        + [donor.name for donor in step.donors if place.get(donor.name, len(steps)) < place[step.name]]
        for step in steps
    }


def turns_of(steps: Sequence[Step], needs: Mapping[str, Needs]) -> dict[str, tuple[int, int, int]]:
    """Return for each step a key by which those that are ready are begun.

    What has the machine for itself goes by its place in the list. Of what shares it, the target's steps come first, then
    those with the longest chain of steps behind them, so that no long chain is left over at the end.
    """
    by_name, sources = {step.name: step for step in steps}, sources_of(steps)
    behind = dict.fromkeys(by_name, 0)
    for name in reversed(list(TopologicalSorter(sources).static_order())):
        for source in sources[name]:
            behind[source] = max(behind[source], behind[name] + 1)
    return {
        name: (0, 0, place) if needs[name].alone else (int(step.role is not Role.TARGET), -behind[name], place)
        for place, (name, step) in enumerate(by_name.items())
    }


def alone_of_target(steps: Sequence[Step], needs: Mapping[str, Needs]) -> set[str]:
    """Return the target's steps that have the machine for themselves and wait for nothing but steps of the target."""
    by_name, sources = {step.name: step for step in steps}, sources_of(steps)
    own: set[str] = set()
    for name in TopologicalSorter(sources).static_order():
        if by_name[name].role is Role.TARGET and own.issuperset(sources[name]):
            own.add(name)
    return {name for name in own if needs[name].alone}


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
        needs[step.name] = Needs(share=Fraction(1, lanes), threads=execution.threads_for(lanes))
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
