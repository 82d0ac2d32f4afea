"""Steps that get one line together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tckr.engine.step import Step


@dataclass
class Group:
    """Steps that get one line together."""

    label: str
    left: int
    start: float = 0.0

    @property
    def seconds(self) -> float:
        """Return the time since the first of them began."""
        return time.perf_counter() - self.start


class Groups:
    """Which group each planned step belongs to, and when a group begins and ends."""

    def __init__(self, key: Callable[[Step], str]) -> None:
        """Put steps with the same `key` together."""
        self._key = key
        self._groups: dict[str, Group] = {}

    def plan(self, steps: Sequence[Step]) -> None:
        """Take the steps that will be computed."""
        self._groups = {}
        members: dict[str, list[Step]] = {}
        for step in steps:
            members.setdefault(self._key(step), []).append(step)
        for together in members.values():
            label = together[0].name if len(together) == 1 else f"{together[0].stage} x {len(together)}"
            group = Group(label, len(together))
            self._groups |= {step.name: group for step in together}

    def begun(self, step: Step) -> Group | None:
        """Return the group of which `step` is the first to begin."""
        group = self._groups[step.name]
        if group.start:
            return None
        group.start = time.perf_counter()
        return group

    def ended(self, step: Step) -> Group | None:
        """Return the group of which `step` is the last to end; none for a step that was whole before."""
        group = self._groups.pop(step.name, None)
        if group is not None:
            group.left -= 1
        return group if group and not group.left else None
