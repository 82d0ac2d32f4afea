"""Processes that run at once and wait for one another, on as many machines as needed: several that train one model.

Ray reserves a place for each of them before the job starts, so two jobs never hold half of what the other waits for.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError
from ray.util.placement_group import PlacementGroup, placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from tckr.engine.executors.ray_workers import Mailbox, Share, set_up
from tckr.errors import UserError
from tckr.process import Address, Tell

OF_GPU = 0.9
"""Part of a GPU that Ray counts for a member; the rest is the job's, which encodes on the first member's GPU before."""

SECONDS_BETWEEN = 0.5
"""Seconds between two looks for messages of the members."""

SECONDS_TO_DIE = 5
"""Seconds in which Ray reports that a process of a running machine died."""


@dataclass(frozen=True)
class RayGang:
    """Places for members, one each; `places` has as many parts."""

    places: PlacementGroup
    share: Share
    folder: Path

    @classmethod
    def reserve(cls, size: int, share: Share, folder: Path) -> RayGang:
        """Ask for `size` places with a `share` of a machine each, on few machines. They are reserved when all are free."""
        return cls(placement_group([share.resources] * size, strategy="PACK"), share, folder)

    def job_options(self) -> dict[str, Any]:
        """Return the options of the job, which waits while the members compute."""
        gpus = (1 - OF_GPU) if self.share.gpus else 0
        return {"num_cpus": 0, "num_gpus": gpus, "scheduling_strategy": self._place(0)}

    def release(self) -> None:
        """Give the places back."""
        ray.util.remove_placement_group(self.places)

    def __call__(self, function: Callable[[int, Address, Tell], object], size: int, hear: Callable[[Any], object]) -> None:
        """Call `function` in `size` processes; pass on what they tell. When one fails or dies, end the others."""
        mailbox = ray.remote(Mailbox).options(num_cpus=0).remote()
        members = [ray.remote(Member).options(**self._options(rank)).remote() for rank in range(size)]
        setting = self.folder, self.share
        try:
            address = ray.get(members[0].meeting_place.remote())
            at_work = [
                member.take_part.remote(function, rank, address, mailbox, setting) for rank, member in enumerate(members)
            ]
            while at_work:
                done, at_work = ray.wait(at_work, num_returns=1, timeout=SECONDS_BETWEEN)
                for message in ray.get(mailbox.take.remote()):
                    hear(message)
                _require(done, at_work)
        finally:
            for actor in (*members, mailbox):
                ray.kill(actor)

    def _options(self, rank: int) -> dict[str, Any]:
        gpus = OF_GPU * self.share.gpus
        return {"num_cpus": self.share.cpus, "num_gpus": gpus, "scheduling_strategy": self._place(rank)}

    def _place(self, number: int) -> PlacementGroupSchedulingStrategy:
        return PlacementGroupSchedulingStrategy(self.places, placement_group_bundle_index=number)


def _require(done: list[Any], at_work: list[Any]) -> None:
    """Raise the error with which a member ended, or that of one that died or was refused: the others lose connections."""
    try:
        ray.get(done)
    except RayTaskError as error:
        if not isinstance(error.cause, UserError):
            _raise_reason(at_work)
        raise error.cause from None


def _raise_reason(at_work: list[Any]) -> None:
    """Raise the error of a member at work that within a few seconds dies, or ends with a `UserError`."""
    ended, _ = ray.wait(at_work, num_returns=len(at_work), timeout=SECONDS_TO_DIE) if at_work else ([], [])
    for member in ended:
        try:
            ray.get(member)
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None


class Member:
    """One of the processes."""

    def meeting_place(self) -> Address:
        """Return the address of this machine and a free port."""
        with socket.socket() as free:
            free.bind(("", 0))
            return ray.util.get_node_ip_address(), free.getsockname()[1]

    def take_part(
        self,
        function: Callable[[int, Address, Tell], object],
        rank: int,
        address: Address,
        mailbox: Any,
        setting: tuple[Path, Share],
    ) -> None:
        """Set this process up like a process of a local executor and call `function`; then all that it told has arrived."""
        set_up(*setting)
        last: list[Any] = []

        def tell(message: Any) -> None:
            last[:] = [mailbox.put.remote(message)]

        function(rank, address, tell)
        ray.get(last)
