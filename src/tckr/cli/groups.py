"""Groups of steps that share one line of output."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tckr.engine.step import Step


@dataclass
class Group:
    """Steps that share one line of output."""

    label: str
    left: int
    start: float = 0.0

    @property
    def seconds(self) -> float:
        """Return the seconds since the first of them started."""
        return time.perf_counter() - self.start


class Groups:
    """The group of each planned step, and when each group starts and ends."""

    def __init__(self, key: Callable[[Step], str]) -> None:
        """Group the steps that have the same `key`."""
        self._key = key
        self._groups: dict[str, Group] = {}

    def plan(self, steps: Sequence[Step]) -> None:
        """Register the steps that will be computed."""
        self._groups = {}
        members: dict[str, list[Step]] = {}
        for step in steps:
            members.setdefault(self._key(step), []).append(step)
        for together in members.values():
            label = together[0].name if len(together) == 1 else f"{together[0].stage} x {len(together)}"
            group = Group(label, len(together))
            self._groups |= {step.name: group for step in together}

    def begun(self, step: Step) -> Group | None:
        """Return the group that starts with `step`, or None if another step of the group started earlier."""
        group = self._groups[step.name]
        if group.start:
            return None
        group.start = time.perf_counter()
        return group

    def ended(self, step: Step) -> Group | None:
        """Return the group that ends with `step`, or None if others are unfinished or `step` was complete before the run."""
        group = self._groups.pop(step.name, None)
        if group is not None:
            group.left -= 1
        return group if group and not group.left else None
