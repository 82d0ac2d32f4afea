"""Order in which ready steps start. It changes no result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from tckr.engine.executors import Needs
from tckr.engine.graph import sources_of
from tckr.engine.step import Role, Step


def turns_of(steps: Sequence[Step], needs: Mapping[str, Needs]) -> dict[str, tuple[int, int, int]]:
    """Return for each step a sort key; ready steps start in ascending order.

    Steps that use the machine alone keep their order in the list. Among the others, the target's steps come first, then
    those with the longest chain of steps after them, so that no long chain remains at the end.
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
    """Return the target's steps that use the machine alone and wait only for steps of the target."""
    by_name, sources = {step.name: step for step in steps}, sources_of(steps)
    own: set[str] = set()
    for name in TopologicalSorter(sources).static_order():
        if by_name[name].role is Role.TARGET and own.issuperset(sources[name]):
            own.add(name)
    return {name for name in own if needs[name].alone}
