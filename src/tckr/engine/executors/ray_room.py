"""Find out whether a Ray cluster has room for what a job needs, when no other job runs.

Ray itself waits without end, and without a message, for a machine that has the cores and GPUs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ray

from tckr.engine.executors.ray_workers import Share

Machine = Mapping[str, float]
"""What Ray counts of one machine, such as {"CPU": 8.0, "GPU": 1.0}."""

MOST_KINDS = 5
"""Maximum number of kinds of machines in a message."""


@dataclass(frozen=True)
class Request:
    """What a job needs at one time: `size` places, each with a `share` of one machine."""

    name: str
    share: Share
    size: int = 1

    def has_room(self, machines: Sequence[Machine]) -> bool:
        """Return whether the machines have so many places."""
        return count_places(machines, self.share) >= self.size

    def explain(self, machines: Sequence[Machine]) -> str:
        """Return what the job needs, what the machines have, and what to set."""
        needed, have = _amounts(self.share.resources), f"the cluster has {_described(machines)}"
        if self.size == 1:
            return f"{self.name} needs {needed} of one machine; {have}; start a machine that has them"
        places = count_places(machines, self.share)
        ways = [f"set execution.gpus to at most {places}"] if places else []
        ways += [f"set execution.threads to at most {most}"] if (most := self._most_threads(machines)) else []
        return (
            f"execution.gpus={self.size}: {self.name} trains in {self.size} processes, which need {needed} each; {have}, "
            f"which is room for {places}; {', or '.join([*ways, 'start more machines'])}"
        )

    def _most_threads(self, machines: Sequence[Machine]) -> int:
        """Return the largest number of CPU cores of each place for which there is room, or 0."""
        fewer = (replace(self, share=replace(self.share, cpus=cpus)) for cpus in range(int(self.share.cpus) - 1, 0, -1))
        return next((int(one.share.cpus) for one in fewer if one.has_room(machines)), 0)


def find_machines() -> list[Machine]:
    """Return the machines that the cluster has now."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def count_places(machines: Sequence[Machine], share: Share) -> int:
    """Return how many processes with such a share fit on the machines at one time."""
    return sum(
        min(int(machine.get(kind, 0.0) // amount) for kind, amount in share.resources.items()) for machine in machines
    )


def _described(machines: Sequence[Machine]) -> str:
    """Return the machines as text, equal ones together."""
    kinds = Counter(_amounts(machine) for machine in machines).most_common()
    told = [f"{count} {'machine' if count == 1 else 'machines'} with {amounts}" for amounts, count in kinds[:MOST_KINDS]]
    return ", ".join(told + ["others"] * (len(kinds) > MOST_KINDS)) or "no machine"


def _amounts(resources: Machine) -> str:
    cores, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    told = f"{cores:g} CPU {'core' if cores == 1 else 'cores'}"
    return f"{told} and {gpus:g} {'GPU' if gpus == 1 else 'GPUs'}" if gpus else told
